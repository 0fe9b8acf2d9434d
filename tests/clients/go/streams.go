package main

import (
	"io"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"tensord/client/pb/inference"
	"tensord/client/pb/reflection"
)

func checkStream(w *world) {
	stream := must(w.inference.ModelStreamInfer(soon()))
	for i := range 5 {
		must(0, stream.Send(echo(float32(i))))
	}
	for i := range 5 {
		answer := must(stream.Recv())
		expect(answer.ErrorMessage == "" && values(answer.InferResponse)[0] == float32(i), answer)
	}
	must(0, stream.Send(chaos("stream", 3)))
	for i := range 4 {
		answer := must(stream.Recv())
		expect(answer.InferResponse.Parameters["triton_final_response"].GetBoolParam() == (i == 3), answer)
	}
	must(0, stream.CloseSend())
	answer, err := stream.Recv()
	expect(err == io.EOF, answer)
}

func checkStreamErrors(w *world) {
	stream := must(w.inference.ModelStreamInfer(soon()))
	unknown := echo(1)
	unknown.ModelName = "nobody"
	must(0, stream.Send(unknown))
	answer := must(stream.Recv())
	expect(strings.Contains(answer.ErrorMessage, "Request for unknown model: 'nobody' is not found"), answer)
	expect(answer.InferResponse.GetId() == unknown.Id, answer)
	must(0, stream.Send(echo(2)))
	answer = must(stream.Recv())
	expect(values(answer.InferResponse)[0] == 2, answer)
	must(0, stream.CloseSend())
}

func checkReflection(w *world) {
	stream := must(reflection.NewServerReflectionClient(w.conn).ServerReflectionInfo(soon()))
	must(0, stream.Send(&reflection.ServerReflectionRequest{
		MessageRequest: &reflection.ServerReflectionRequest_ListServices{}}))
	var names []string
	for _, service := range must(stream.Recv()).GetListServicesResponse().GetService() {
		names = append(names, service.Name)
	}
	all := strings.Join(names, " ")
	expect(strings.Contains(all, "inference.GRPCInferenceService") && strings.Contains(all, "grpc.health.v1.Health"), names)
	must(0, stream.Send(&reflection.ServerReflectionRequest{MessageRequest: &reflection.ServerReflectionRequest_FileContainingSymbol{
		FileContainingSymbol: "inference.GRPCInferenceService"}}))
	file := &descriptorpb.FileDescriptorProto{}
	must(0, proto.Unmarshal(must(stream.Recv()).GetFileDescriptorResponse().FileDescriptorProto[0], file))
	described := len(inference.GRPCInferenceService_ServiceDesc.Methods) + len(inference.GRPCInferenceService_ServiceDesc.Streams)
	expect(len(file.Service[0].Method) == described, file.Service)
	must(0, stream.CloseSend())
}
