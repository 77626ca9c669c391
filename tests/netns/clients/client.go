// SPDX-License-Identifier: Apache-2.0

// client.go URL N: net/http, the default transport's pool, four goroutines.
package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

func one(client *http.Client, url string, i int) error {
	tagged, get := i%2 == 0, i%3 == 0
	body := make([]byte, i*500)
	for k := range body {
		body[k] = byte((i*7 + k) % 251)
	}
	var reader io.Reader = bytes.NewReader(body)
	if i%3 == 2 {
		reader = io.MultiReader(reader) // of unknown length: chunked
	}
	method, path := "POST", "/echo"
	if get {
		method, path, reader = "GET", "/id", nil
	}
	req, err := http.NewRequest(method, url+path, reader)
	if err != nil {
		return err
	}
	req.Header.Set("x-id", strconv.Itoa(i))
	if tagged && i%4 == 0 {
		req.Header.Set("x-user", "xiaoming")
	} else if tagged {
		req.Header.Set("x-mse-tag", "gray")
	}
	r, err := client.Do(req)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	pod := r.Header.Get("x-pod")
	if get {
		body = []byte(pod + "\n")
	}
	if strings.Contains(pod, "gray[") != tagged || r.Header.Get("x-id") != strconv.Itoa(i) || !bytes.Equal(data, body) {
		return fmt.Errorf("request %d: %s, %s, %d bytes", i, pod, r.Header.Get("x-id"), len(data))
	}
	return nil
}

func main() {
	n, _ := strconv.Atoi(os.Args[2])
	client := &http.Client{Timeout: 20 * time.Second}
	var wg sync.WaitGroup
	for g := 0; g < 4; g++ {
		wg.Add(1)
		go func(g int) {
			defer wg.Done()
			for i := g; i < n; i += 4 {
				if err := one(client, os.Args[1], i); err != nil {
					fmt.Println("FAIL:", err)
					os.Exit(1)
				}
			}
		}(g)
	}
	wg.Wait()
	fmt.Println("ok", n)
}
