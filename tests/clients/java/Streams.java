import com.google.protobuf.DescriptorProtos.FileDescriptorProto;
import grpc.health.v1.HealthGrpc;
import grpc.health.v1.HealthOuterClass.HealthCheckRequest;
import grpc.health.v1.HealthOuterClass.HealthCheckResponse;
import grpc.health.v1.HealthOuterClass.HealthCheckResponse.ServingStatus;
import grpc.reflection.v1.Reflection.ServerReflectionRequest;
import grpc.reflection.v1.Reflection.ServerReflectionResponse;
import grpc.reflection.v1.ServerReflectionGrpc;
import inference.GRPCInferenceServiceGrpc;
import inference.Inference.*;
import io.grpc.Context;
import io.grpc.Status;
import io.grpc.stub.StreamObserver;
import java.io.OutputStream;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** Calls with several messages. */
final class Streams {
    /** The messages of a call as they come; its end is END, an error is itself. */
    private static final class Messages<T> implements StreamObserver<T> {
        private static final Object END = new Object();
        private final BlockingQueue<Object> come = new LinkedBlockingQueue<>();

        @Override
        public void onNext(T message) {
            come.add(message);
        }

        @Override
        public void onError(Throwable error) {
            come.add(error);
        }

        @Override
        public void onCompleted() {
            come.add(END);
        }

        @SuppressWarnings("unchecked")
        T next() throws Exception {
            Object one = come.poll(Client.PATIENCE_S, TimeUnit.SECONDS);
            Client.expect(one != null && one != END && !(one instanceof Throwable), one);
            return (T) one;
        }

        void end() throws Exception {
            Object one = come.poll(Client.PATIENCE_S, TimeUnit.SECONDS);
            Client.expect(one == END, one);
        }
    }

    private final Client client;

    private Streams(Client client) {
        this.client = client;
    }

    static Map<String, Client.Check> checks(Client client) {
        Streams streams = new Streams(client);
        Map<String, Client.Check> checks = new LinkedHashMap<>();
        checks.put("health watch", streams::watch);
        checks.put("a stream", streams::stream);
        checks.put("errors in a stream", streams::errors);
        checks.put("reflection", streams::reflection);
        checks.put("keepalive", streams::keepalive);
        return checks;
    }

    private void watch() throws Exception {
        for (Map.Entry<String, ServingStatus> one :
            Map.of("", ServingStatus.SERVING, "nix", ServingStatus.SERVICE_UNKNOWN).entrySet()) {
            HealthCheckRequest request = HealthCheckRequest.newBuilder().setService(one.getKey()).build();
            Context.CancellableContext context = Context.current().withCancellation();
            Iterator<HealthCheckResponse> answers = context.call(() -> HealthGrpc.newBlockingStub(client.channel).watch(request));
            ServingStatus status = answers.next().getStatus();
            Client.expect(status == one.getValue(), status);
            context.cancel(null);
            Unary.expectStatus(Status.Code.CANCELLED, "", answers::hasNext);
        }
    }

    private StreamObserver<ModelInferRequest> open(Messages<ModelStreamInferResponse> answers) {
        return GRPCInferenceServiceGrpc.newStub(client.channel).modelStreamInfer(answers);
    }

    private void stream() throws Exception {
        Messages<ModelStreamInferResponse> answers = new Messages<>();
        StreamObserver<ModelInferRequest> requests = open(answers);
        for (int i = 0; i < 5; i++) {
            requests.onNext(Unary.echo(i).build());
        }
        for (int i = 0; i < 5; i++) {
            ModelStreamInferResponse answer = answers.next();
            Client.expect(Unary.values(answer.getInferResponse())[0] == i, answer);
        }
        requests.onNext(Unary.chaos("stream", 3));
        for (int i = 0; i < 4; i++) {
            ModelInferResponse answer = answers.next().getInferResponse();
            Client.expect(answer.getParametersOrThrow("triton_final_response").getBoolParam() == (i == 3), answer);
        }
        requests.onCompleted();
        answers.end();
    }

    private void errors() throws Exception {
        Messages<ModelStreamInferResponse> answers = new Messages<>();
        StreamObserver<ModelInferRequest> requests = open(answers);
        requests.onNext(Unary.echo(1).setModelName("nobody").build());
        ModelStreamInferResponse answer = answers.next();
        Client.expect(answer.getErrorMessage().contains("Request for unknown model: 'nobody' is not found"), answer);
        Client.expect(answer.getInferResponse().getId().equals("of grpc-java"), answer);
        requests.onNext(Unary.echo(2).build());
        Client.expect(Unary.values(answers.next().getInferResponse())[0] == 2, answer);
        requests.onCompleted();
        answers.end();
    }

    private void reflection() throws Exception {
        Messages<ServerReflectionResponse> answers = new Messages<>();
        StreamObserver<ServerReflectionRequest> requests =
            ServerReflectionGrpc.newStub(client.channel).serverReflectionInfo(answers);
        requests.onNext(ServerReflectionRequest.newBuilder().setListServices("").build());
        List<String> names = answers.next().getListServicesResponse().getServiceList().stream().map(one -> one.getName()).toList();
        Client.expect(names.containsAll(List.of("inference.GRPCInferenceService", "grpc.health.v1.Health")), names);
        requests.onNext(ServerReflectionRequest.newBuilder().setFileContainingSymbol("inference.GRPCInferenceService").build());
        FileDescriptorProto file = FileDescriptorProto.parseFrom(answers.next().getFileDescriptorResponse().getFileDescriptorProto(0));
        int described = GRPCInferenceServiceGrpc.getServiceDescriptor().getMethods().size();
        Client.expect(file.getService(0).getMethodCount() == described, file.getService(0));
        requests.onCompleted();
        answers.end();
    }

    /** On one connection: a watch, pings until the input ends, and a call. */
    private void keepalive() throws Exception {
        HealthCheckRequest request = HealthCheckRequest.getDefaultInstance();
        ServingStatus status = HealthGrpc.newBlockingStub(client.watched).watch(request).next().getStatus();
        Client.expect(status == ServingStatus.SERVING, status);
        System.out.println("watching");
        System.in.transferTo(OutputStream.nullOutputStream());
        Client.expect(client.inference(client.watched).serverLive(ServerLiveRequest.getDefaultInstance()).getLive(), false);
    }
}
