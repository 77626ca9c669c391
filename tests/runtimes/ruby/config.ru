# SPDX-License-Identifier: Apache-2.0
# For puma; Net::HTTP, a connection a call.
require "net/http"

HOST, PORT = ENV["UPSTREAM"].split(":")
FORWARD = ENV["FORWARD"]
NAME = "HTTP_" + FORWARD.upcase.tr("-", "_")

run lambda { |env|
  env["rack.input"].read
  value = env[NAME] unless FORWARD.empty?
  body = Net::HTTP.start(HOST, PORT.to_i, read_timeout: 20) do |http|
    http.get(env["REQUEST_URI"] || env["PATH_INFO"], value ? { FORWARD => value } : {}).body
  end
  [200, { "content-length" => body.bytesize.to_s }, [body]]
}
