// SPDX-License-Identifier: Apache-2.0
// client.mjs URL N: fetch, the pool's connections, four at a time.
const [url, count] = [process.argv[2], Number(process.argv[3])];
const check = (ok, what) => { if (!ok) { console.log("FAIL:", what); process.exit(1); } };
const one = async (i) => {
	const tagged = i % 2 === 0;
	const headers = { "x-id": String(i) };
	if (tagged) headers[i % 4 ? "x-mse-tag" : "x-user"] = i % 4 ? "gray" : "xiaoming";
	const body = new Uint8Array(i * 500).map((_, k) => (i * 7 + k) % 251);
	const get = i % 3 === 0 || !body.length;
	const r = await fetch(url + (get ? "/id" : "/echo"), get ? { headers } : { method: "POST", headers, body });
	const pod = r.headers.get("x-pod"), data = new Uint8Array(await r.arrayBuffer());
	check(pod.includes("gray[") === tagged, `${i}: lane, ${pod}`);
	check(r.headers.get("x-id") === String(i), `${i}: identity`);
	const want = get ? new TextEncoder().encode(pod + "\n") : body;
	check(data.length === want.length && data.every((b, k) => b === want[k]), `${i}: body`);
};
for (let i = 0; i < count; i += 4) await Promise.all([0, 1, 2, 3].filter((k) => i + k < count).map((k) => one(i + k)));
console.log("ok", count);
process.exit(0);
