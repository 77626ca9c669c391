<?php
// SPDX-License-Identifier: Apache-2.0
// For the built-in server and for php-fpm; curl, a connection a call.
file_get_contents('php://input');
$forward = getenv('FORWARD');
$curl = curl_init('http://' . getenv('UPSTREAM') . $_SERVER['REQUEST_URI']);
curl_setopt($curl, CURLOPT_RETURNTRANSFER, true);
curl_setopt($curl, CURLOPT_TIMEOUT, 20);
$value = $forward ? $_SERVER['HTTP_' . strtoupper(strtr($forward, '-', '_'))] ?? null : null;
if ($value !== null)
	curl_setopt($curl, CURLOPT_HTTPHEADER, ["$forward: $value"]);
$body = curl_exec($curl);
if ($body === false) {
	error_log(curl_error($curl));
	http_response_code(502);
	exit;
}
header('Content-Length: ' . strlen($body));
echo $body;
