// SPDX-License-Identifier: Apache-2.0
//
// Servlet.java DIR: Tomcat 10 as it comes, with a servlet that calls by HttpURLConnection. DIR: where Tomcat may write.
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import org.apache.catalina.Context;
import org.apache.catalina.startup.Tomcat;

public class Servlet extends HttpServlet {
	static final String upstream = "http://" + System.getenv("UPSTREAM"), forward = System.getenv("FORWARD");

	@Override
	protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
		request.getInputStream().readAllBytes();
		HttpURLConnection c = (HttpURLConnection) URI.create(upstream + request.getRequestURI()).toURL().openConnection();
		String value = forward.isEmpty() ? null : request.getHeader(forward);
		if (value != null)
			c.setRequestProperty(forward, value);
		try (InputStream in = c.getInputStream()) {
			byte[] body = in.readAllBytes();
			response.setContentLength(body.length);
			response.getOutputStream().write(body);
		}
	}

	public static void main(String[] args) throws Exception {
		Tomcat tomcat = new Tomcat();
		tomcat.setBaseDir(args[0]);
		tomcat.setPort(Integer.parseInt(System.getenv("PORT")));
		tomcat.getConnector();
		Context context = tomcat.addContext("", args[0]);
		Tomcat.addServlet(context, "middle", new Servlet());
		context.addServletMappingDecoded("/*", "middle");
		tomcat.start();
		tomcat.getServer().await();
	}
}
