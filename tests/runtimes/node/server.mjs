// SPDX-License-Identifier: Apache-2.0
// http and fetch, one thread for all; fetch keeps connections.
import http from "node:http";

const { PORT, UPSTREAM, FORWARD } = process.env;

http.createServer(async (request, response) => {
	try {
		for await (const _ of request);
		const value = FORWARD && request.headers[FORWARD];
		const answer = await fetch(`http://${UPSTREAM}${request.url}`, { headers: value ? { [FORWARD]: value } : {} });
		response.end(Buffer.from(await answer.arrayBuffer()));
	} catch (error) {
		console.error(error);
		response.writeHead(502).end();
	}
}).listen(PORT, "0.0.0.0", 1024);
