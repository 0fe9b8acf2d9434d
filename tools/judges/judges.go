//go:build judges

// Package judges names the programs that setup_judges (tools/setup.sh) builds.
package judges

import (
	_ "connectrpc.com/conformance/cmd/connectconformance"
	_ "github.com/summerwind/h2spec/cmd/h2spec"
	_ "google.golang.org/grpc/interop/client"
)
