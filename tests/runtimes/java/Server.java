// SPDX-License-Identifier: Apache-2.0
//
// Server.java fixed | handover | httpclient: com.sun.net.httpserver.
//   fixed       a fixed pool, one thread a request; HttpURLConnection
//   handover    the thread that has read the request gives it to another pool and ends, as virtual threads and reactive
//               frameworks do: reading and calling are never one thread; HttpURLConnection
//   httpclient  a fixed pool; java.net.http.HttpClient as it comes, which sends from threads of its own
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.HttpURLConnection;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

public class Server {
	static final String upstream = "http://" + System.getenv("UPSTREAM"), forward = System.getenv("FORWARD");
	static final HttpClient client = HttpClient.newHttpClient();

	static byte[] callByConnection(String path, String value) throws Exception {
		HttpURLConnection c = (HttpURLConnection) URI.create(upstream + path).toURL().openConnection();
		if (value != null)
			c.setRequestProperty(forward, value);
		try (InputStream in = c.getInputStream()) {
			return in.readAllBytes();
		}
	}

	static byte[] callByClient(String path, String value) throws Exception {
		HttpRequest.Builder b = HttpRequest.newBuilder(URI.create(upstream + path));
		if (value != null)
			b.header(forward, value);
		return client.send(b.build(), HttpResponse.BodyHandlers.ofByteArray()).body();
	}

	static void answer(HttpExchange x, boolean byClient) {
		try (x) {
			String path = x.getRequestURI().toString();
			String value = forward.isEmpty() ? null : x.getRequestHeaders().getFirst(forward);
			byte[] body = byClient ? callByClient(path, value) : callByConnection(path, value);
			x.sendResponseHeaders(200, body.length);
			try (OutputStream out = x.getResponseBody()) {
				out.write(body);
			}
		} catch (Exception e) {
			e.printStackTrace();
		}
	}

	public static void main(String[] args) throws Exception {
		boolean byClient = args[0].equals("httpclient");
		HttpServer server = HttpServer.create(new InetSocketAddress(Integer.parseInt(System.getenv("PORT"))), 1024);
		server.setExecutor(Executors.newFixedThreadPool(64));
		ExecutorService others = args[0].equals("handover") ? Executors.newFixedThreadPool(64) : null;
		server.createContext("/", x -> {
			x.getRequestBody().readAllBytes();
			if (others != null)
				others.execute(() -> answer(x, byClient));
			else
				answer(x, byClient);
		});
		server.start();
	}
}
