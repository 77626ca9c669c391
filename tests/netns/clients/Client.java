// SPDX-License-Identifier: Apache-2.0
// Client.java URL N [kept]: HttpClient (HTTP/1.1) and HttpURLConnection in turn, both over their pools. The latter asks FIONREAD.
// kept: where the kernel gets that wrong, the process is kept out from then on, and base may answer a tagged request.
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.Arrays;

public class Client {
	static void check(boolean ok, String what) {
		if (!ok) {
			System.out.println("FAIL: " + what);
			System.exit(1);
		}
	}

	static boolean kept;

	static void answer(int i, boolean tagged, String pod, String id, byte[] data, byte[] want) {
		boolean gray = pod.contains("gray[");
		check(gray == tagged || (kept && !gray), i + ": lane, " + pod);
		check(id.equals(String.valueOf(i)), i + ": identity");
		check(Arrays.equals(data, want != null ? want : (pod + "\n").getBytes()), i + ": body, " + data.length);
	}

	public static void main(String[] args) throws Exception {
		HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
		kept = args.length > 2;
		int n = Integer.parseInt(args[1]);
		for (int i = 0; i < n; i++) {
			boolean tagged = i % 4 < 2, get = i % 3 == 0;
			byte[] body = new byte[i * 500];
			for (int k = 0; k < body.length; k++)
				body[k] = (byte) ((i * 7 + k) % 251);
			URI uri = URI.create(args[0] + (get ? "/id" : "/echo"));
			String name = i % 8 < 4 ? "x-mse-tag" : "x-user", value = i % 8 < 4 ? "gray" : "xiaoming";
			if (i % 2 == 0) {
				HttpRequest.Builder b = HttpRequest.newBuilder(uri).timeout(Duration.ofSeconds(20)).header("x-id", "" + i);
				if (tagged)
					b.header(name, value);
				if (!get)
					b.POST(HttpRequest.BodyPublishers.ofByteArray(body));
				HttpResponse<byte[]> r = client.send(b.build(), HttpResponse.BodyHandlers.ofByteArray());
				answer(i, tagged, r.headers().firstValue("x-pod").get(), r.headers().firstValue("x-id").get(), r.body(), get ? null : body);
			} else {
				HttpURLConnection c = (HttpURLConnection) uri.toURL().openConnection();
				c.setReadTimeout(20000);
				c.setRequestProperty("x-id", "" + i);
				if (tagged)
					c.setRequestProperty(name, value);
				if (!get) {
					c.setDoOutput(true);
					if (i % 4 == 1)
						c.setFixedLengthStreamingMode(body.length);
					else
						c.setChunkedStreamingMode(1000);
					c.getOutputStream().write(body);
				}
				try (InputStream in = c.getInputStream()) {
					byte[] data = in.readAllBytes();
					answer(i, tagged, c.getHeaderField("x-pod"), c.getHeaderField("x-id"), data, get ? null : body);
				}
			}
		}
		System.out.println("ok " + n);
		System.exit(0);
	}
}
