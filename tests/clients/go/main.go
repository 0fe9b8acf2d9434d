// A client of grpc-go, with stubs that are generated from proto/, asks a server for everything: `client TARGET COMPRESSED
// WATCHED TOKEN`, three addresses of the same server and a token. It writes a line for each check (README.md).
package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"tensord/client/pb/inference"
)

const patience = 60 * time.Second

// world is what the checks ask.
type world struct {
	conn, compressed, watched *grpc.ClientConn
	inference                 inference.GRPCInferenceServiceClient
	token                     string
}

// fail ends a check.
func fail(format string, arguments ...any) {
	panic(fmt.Sprintf(format, arguments...))
}

// must is the value; an error ends the check.
func must[T any](value T, err error) T {
	if err != nil {
		fail("%v", err)
	}
	return value
}

func connect(target string, options ...grpc.DialOption) *grpc.ClientConn {
	options = append(options, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	return must(grpc.NewClient(target, options...))
}

// run says whether it went well.
func run(w *world, name string, check func(*world)) (good bool) {
	defer func() {
		if reason := recover(); reason != nil {
			fmt.Printf("FAILED: %s: %s\n", name, strings.ReplaceAll(fmt.Sprint(reason), "\n", " "))
			return
		}
		fmt.Println("ok:", name)
		good = true
	}()
	check(w)
	return
}

func main() {
	pings := keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 10 * time.Second, PermitWithoutStream: true}
	w := &world{conn: connect(os.Args[1]), compressed: connect(os.Args[2]),
		watched: connect(os.Args[3], grpc.WithKeepaliveParams(pings)), token: os.Args[4]}
	w.inference = inference.NewGRPCInferenceServiceClient(w.conn)
	good := true
	for _, one := range checks {
		good = run(w, one.name, one.run) && good
	}
	if !good {
		os.Exit(1)
	}
}

// waitInput returns at the end of the input.
func waitInput() {
	must(io.Copy(io.Discard, os.Stdin))
}
