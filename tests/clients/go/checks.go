package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"tensord/client/pb/health"
	"tensord/client/pb/inference"
)

const (
	elements     = 5 << 18 // of FP32: 5 MiB
	compressible = 1 << 17 // 512 KiB: larger answers are not compressed
	calls        = 500
)

var checks = []struct {
	name string
	run  func(*world)
}{
	{"health", checkHealth}, {"health watch", checkWatch}, {"live and ready", checkReady},
	{"server metadata", checkServerMetadata}, {"model metadata", checkModelMetadata}, {"model config", checkModelConfig},
	{"raw contents", checkRaw}, {"typed contents", checkTyped}, {"compression", checkCompression},
	{"a large message", checkLarge}, {"an unknown model", checkUnknown}, {"a deadline", checkDeadline},
	{"cancelling", checkCancel}, {"a token", checkToken}, {"many at once", checkMany}, {"a stream", checkStream},
	{"errors in a stream", checkStreamErrors}, {"reflection", checkReflection}, {"keepalive", checkKeepalive},
}

func soon() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	context.AfterFunc(ctx, cancel)
	return ctx
}

// expectStatus fails unless the error is of this code and says that.
func expectStatus(err error, code codes.Code, sentence string) {
	if status.Code(err) != code || !strings.Contains(status.Convert(err).Message(), sentence) {
		fail("%v, not %v %q", err, code, sentence)
	}
}

func expect(good bool, got any) {
	if !good {
		fail("got %v", got)
	}
}

// echo asks the model of that name, which gives back what it gets.
func echo(values ...float32) *inference.ModelInferRequest {
	raw := must(binary.Append(nil, binary.LittleEndian, values))
	return &inference.ModelInferRequest{ModelName: "echo", Id: "of grpc-go",
		Inputs: []*inference.ModelInferRequest_InferInputTensor{
			{Name: "x", Datatype: "FP32", Shape: []int64{int64(len(values))}}},
		RawInputContents: [][]byte{raw}}
}

func values(response *inference.ModelInferResponse) []float32 {
	raw := response.RawOutputContents[0]
	found := make([]float32, len(raw)/4)
	must(binary.Decode(raw, binary.LittleEndian, found))
	return found
}

// chaos asks the model of that name, which does as the parameter says.
func chaos(parameter string, value int64) *inference.ModelInferRequest {
	return &inference.ModelInferRequest{ModelName: "chaos",
		Parameters: map[string]*inference.InferParameter{
			parameter: {ParameterChoice: &inference.InferParameter_Int64Param{Int64Param: value}}},
		Inputs: []*inference.ModelInferRequest_InferInputTensor{{Name: "x", Datatype: "INT32", Shape: []int64{1},
			Contents: &inference.InferTensorContents{IntContents: []int32{7}}}}}
}

func checkHealth(w *world) {
	client := health.NewHealthClient(w.conn)
	for _, service := range []string{"", "inference.GRPCInferenceService"} {
		answer := must(client.Check(soon(), &health.HealthCheckRequest{Service: service}))
		expect(answer.Status == health.HealthCheckResponse_SERVING, answer)
	}
	_, err := client.Check(soon(), &health.HealthCheckRequest{Service: "nix"})
	expectStatus(err, codes.NotFound, "")
}

func checkWatch(w *world) {
	client := health.NewHealthClient(w.conn)
	for service, expected := range map[string]health.HealthCheckResponse_ServingStatus{
		"": health.HealthCheckResponse_SERVING, "nix": health.HealthCheckResponse_SERVICE_UNKNOWN} {
		ctx, cancel := context.WithCancel(soon())
		watch := must(client.Watch(ctx, &health.HealthCheckRequest{Service: service}))
		answer := must(watch.Recv())
		expect(answer.Status == expected, answer)
		cancel()
		_, err := watch.Recv()
		expectStatus(err, codes.Canceled, "")
	}
}

func checkReady(w *world) {
	expect(must(w.inference.ServerLive(soon(), &inference.ServerLiveRequest{})).Live, false)
	expect(must(w.inference.ServerReady(soon(), &inference.ServerReadyRequest{})).Ready, false)
	expect(must(w.inference.ModelReady(soon(), &inference.ModelReadyRequest{Name: "echo"})).Ready, false)
}

func checkServerMetadata(w *world) {
	answer := must(w.inference.ServerMetadata(soon(), &inference.ServerMetadataRequest{}))
	expect(answer.Name != "" && answer.Version != "" && slices.Contains(answer.Extensions, "binary_tensor_data"), answer)
}

func checkModelMetadata(w *world) {
	answer := must(w.inference.ModelMetadata(soon(), &inference.ModelMetadataRequest{Name: "echo"}))
	x := answer.Inputs[0]
	expect(answer.Name == "echo" && slices.Equal(answer.Versions, []string{"1"}), answer)
	expect(x.Name == "x" && x.Datatype == "FP32" && slices.Equal(x.Shape, []int64{-1}), x)
}

func checkModelConfig(w *world) {
	config := must(w.inference.ModelConfig(soon(), &inference.ModelConfigRequest{Name: "echo"})).Config
	expect(config.Name == "echo" && config.Backend == "identity", config)
	expect(config.Input[0].Name == "x" && config.Input[0].DataType == inference.DataType_TYPE_FP32, config)
}

func checkRaw(w *world) {
	answer := must(w.inference.ModelInfer(soon(), echo(1.5, -2, 3)))
	expect(answer.Id == "of grpc-go" && answer.ModelVersion == "1" && answer.Outputs[0].Name == "y", answer)
	expect(slices.Equal(values(answer), []float32{1.5, -2, 3}), answer)
}

func checkTyped(w *world) {
	request := echo(1.5, -2, 3)
	request.RawInputContents = nil
	request.Inputs[0].Contents = &inference.InferTensorContents{Fp32Contents: []float32{1.5, -2, 3}}
	expect(slices.Equal(values(must(w.inference.ModelInfer(soon(), request))), []float32{1.5, -2, 3}), request)
}

// Who counts the bytes on the way sees that both messages were compressed.
func checkCompression(w *world) {
	client := inference.NewGRPCInferenceServiceClient(w.compressed)
	sent := make([]float32, compressible) // that compress well, but not as a bomb's
	for i := range sent {
		sent[i] = float32(uint32(i) * 2654435761 >> 24)
	}
	answer := must(client.ModelInfer(soon(), echo(sent...), grpc.UseCompressor(gzip.Name)))
	expect(slices.Equal(values(answer), sent), "other values")
}

func checkLarge(w *world) {
	sent := make([]float32, elements)
	for i := range sent {
		sent[i] = float32(i)
	}
	expect(slices.Equal(values(must(w.inference.ModelInfer(soon(), echo(sent...)))), sent), "other values")
}

func checkUnknown(w *world) {
	request := echo(1)
	request.ModelName = "nobody"
	_, err := w.inference.ModelInfer(soon(), request)
	expectStatus(err, codes.NotFound, "Request for unknown model: 'nobody' is not found")
}

func checkDeadline(w *world) {
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	_, err := w.inference.ModelInfer(ctx, chaos("wait_ms", 600_000))
	expectStatus(err, codes.DeadlineExceeded, "")
}

func checkCancel(w *world) {
	ctx, cancel := context.WithCancel(soon())
	time.AfterFunc(200*time.Millisecond, cancel)
	_, err := w.inference.ModelInfer(ctx, chaos("wait_ms", 600_000))
	expectStatus(err, codes.Canceled, "")
}

func checkToken(w *world) {
	bearer := func(token string) context.Context {
		return metadata.AppendToOutgoingContext(soon(), "authorization", "Bearer "+token)
	}
	answer := must(w.inference.RepositoryIndex(bearer(w.token), &inference.RepositoryIndexRequest{}))
	expect(slices.ContainsFunc(answer.Models, func(one *inference.RepositoryIndexResponse_ModelIndex) bool {
		return one.Name == "echo" && one.State == "READY"
	}), answer)
	_, err := w.inference.RepositoryIndex(bearer("tensord_wrong"), &inference.RepositoryIndexRequest{})
	expectStatus(err, codes.Unauthenticated, "")
}

func checkMany(w *world) {
	var group sync.WaitGroup
	var wrong sync.Map
	for i := range calls {
		group.Go(func() {
			answer, err := w.inference.ModelInfer(soon(), echo(float32(i)))
			if err != nil || !slices.Equal(values(answer), []float32{float32(i)}) {
				wrong.Store(i, fmt.Sprint(answer, err))
			}
		})
	}
	group.Wait()
	wrong.Range(func(call, got any) bool { fail("call %v: %v", call, got); return false })
}

// On one connection: a watch, pings until the input ends, and a call.
func checkKeepalive(w *world) {
	watch := must(health.NewHealthClient(w.watched).Watch(context.Background(), &health.HealthCheckRequest{}))
	must(watch.Recv())
	fmt.Println("watching")
	waitInput()
	must(inference.NewGRPCInferenceServiceClient(w.watched).ServerLive(soon(), &inference.ServerLiveRequest{}))
}
