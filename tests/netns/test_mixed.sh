#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A short soak (tests/soak/soak.sh) with each change: mixed lanes, methods, bodies and connections find what no single case does.
SOAK_REQUESTS=${SOAK_REQUESTS:-40000} SOAK_SEED=${SOAK_SEED:-7} exec bash "$(dirname "$0")/../soak/soak.sh"
