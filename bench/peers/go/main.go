// A peer: a broadcast server in Go on the library go-sse, as its users write it.
//
// `GET /x` subscribes to `x`, `GET /x,y` to both, `POST /x` publishes to `x`. With the argument `replay` it keeps a thousand
// events to resume from, with ids of the library's; without, it keeps nothing.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/tmaxmax/go-sse"
)

const replayEvents = 1_000

func main() {
	provider := &sse.Joe{}
	if len(os.Args) > 1 && os.Args[1] == "replay" {
		replayer, err := sse.NewFiniteReplayer(replayEvents, true)
		if err != nil {
			log.Fatal(err)
		}
		provider.Replayer = replayer
	}
	streams := &sse.Server{
		Provider: provider,
		OnSession: func(w http.ResponseWriter, r *http.Request) ([]string, bool) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.WriteHeader(http.StatusOK)
			// else the head would wait for the first event
			if err := http.NewResponseController(w).Flush(); err != nil {
				return nil, false
			}
			return strings.Split(r.PathValue("topics"), ","), true
		},
	}
	mux := http.NewServeMux()
	mux.Handle("GET /{topics}", streams)
	mux.HandleFunc("POST /{topics}", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		message := &sse.Message{}
		message.AppendData(string(body))
		if err := streams.Publish(message, r.PathValue("topics")); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on http://%s\n", listener.Addr())
	log.Fatal(http.Serve(listener, mux))
}
