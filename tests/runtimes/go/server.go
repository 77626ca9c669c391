// SPDX-License-Identifier: Apache-2.0

// net/http on both sides: a goroutine a connection, on whichever thread is free; the default transport, which keeps two
// connections a host.
package main

import (
	"io"
	"log"
	"net/http"
	"os"
)

func main() {
	upstream, forward := "http://"+os.Getenv("UPSTREAM"), os.Getenv("FORWARD")
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		request, err := http.NewRequestWithContext(r.Context(), "GET", upstream+r.RequestURI, nil)
		if err == nil {
			if value := r.Header.Get(forward); forward != "" && value != "" {
				request.Header.Set(forward, value)
			}
			var answer *http.Response
			if answer, err = http.DefaultClient.Do(request); err == nil {
				defer answer.Body.Close()
				_, err = io.Copy(w, answer.Body)
			}
		}
		if err != nil {
			log.Print(err)
			http.Error(w, err.Error(), http.StatusBadGateway)
		}
	})
	log.Fatal(http.ListenAndServe(":"+os.Getenv("PORT"), nil))
}
