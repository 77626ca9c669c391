/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Requests of the laboratory's story and what becomes of them: a turn is one request and its answer on a
 * connection c, whose own peer is b, with g the gray pod's end of its upstream connection.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../harness/lab.h"

#define BASE_REQUEST "GET /a HTTP/1.1\r\nHost: w\r\n\r\n"
#define GRAY_REQUEST "GET /b HTTP/1.1\r\nHost: w\r\nUser-Agent: xiaoming\r\n\r\n"
/* the tag goes in front of the other fields; blanks fill its line to a multiple of 8 */
#define TAG "x-mse-tag:        gray\r\n"
#define GRAY_TAGGED "GET /b HTTP/1.1\r\n" TAG "Host: w\r\nUser-Agent: xiaoming\r\n\r\n"
#define OK(body_len, body) "HTTP/1.1 200 OK\r\nContent-Length: " #body_len "\r\n\r\n" body

static inline void open_pair(const char *ip, int listener, int *c, int *b)
{
	*c = lab_connect(ip, LAB_PORT);
	*b = lab_accept(listener, *c);
}

static inline void turn(int c, int s, const char *request, const char *arrives, const char *answer)
{
	lab_send(c, request);
	lab_expect(s, arrives);
	lab_send(s, answer);
	lab_expect(c, answer);
}

static inline void base_turn(int c, int b)
{
	turn(c, b, BASE_REQUEST, BASE_REQUEST, OK(4, "base"));
}

/* *g < 0: on a new upstream connection to listener. */
static inline void lane_turn(int c, int listener, int *g, const char *request, const char *arrives)
{
	lab_send(c, request);
	if (*g < 0)
		*g = lab_accept_request(listener);
	lab_expect(*g, arrives);
	lab_send(*g, OK(4, "lane"));
	lab_expect(c, OK(4, "lane"));
}

static inline void gray_turn(int c, int listener, int *g)
{
	lane_turn(c, listener, g, GRAY_REQUEST, GRAY_TAGGED);
}
