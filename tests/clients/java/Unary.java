import com.google.protobuf.ByteString;
import grpc.health.v1.HealthGrpc;
import grpc.health.v1.HealthOuterClass.HealthCheckRequest;
import grpc.health.v1.HealthOuterClass.HealthCheckResponse.ServingStatus;
import inference.GRPCInferenceServiceGrpc;
import inference.Inference.*;
import inference.ModelConfigOuterClass.DataType;
import inference.ModelConfigOuterClass.ModelConfig;
import io.grpc.Context;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.MetadataUtils;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;

/** Calls with one answer. */
final class Unary {
    private static final int ELEMENTS = 5 << 18; // of FP32: 5 MiB
    private static final int COMPRESSIBLE = 1 << 17; // 512 KiB: larger answers are not compressed
    private static final int CALLS = 500;
    private static final int LONG_MS = 600_000;
    private static final int SOON_MS = 200;

    private final Client client;

    private Unary(Client client) {
        this.client = client;
    }

    static Map<String, Client.Check> checks(Client client) {
        Unary unary = new Unary(client);
        Map<String, Client.Check> checks = new LinkedHashMap<>();
        checks.put("health", unary::health);
        checks.put("live and ready", unary::ready);
        checks.put("server metadata", unary::serverMetadata);
        checks.put("model metadata", unary::modelMetadata);
        checks.put("model config", unary::modelConfig);
        checks.put("raw contents", unary::raw);
        checks.put("typed contents", unary::typed);
        checks.put("compression", unary::compression);
        checks.put("a large message", unary::large);
        checks.put("an unknown model", unary::unknown);
        checks.put("a deadline", unary::deadline);
        checks.put("cancelling", unary::cancel);
        checks.put("a token", unary::token);
        checks.put("many at once", unary::many);
        return checks;
    }

    /** Fails unless the call is refused with this code and says that. */
    static void expectStatus(Status.Code code, String sentence, Client.Check call) throws Exception {
        try {
            call.run();
        } catch (StatusRuntimeException error) {
            String description = String.valueOf(error.getStatus().getDescription());
            Client.expect(error.getStatus().getCode() == code && description.contains(sentence), error);
            return;
        }
        throw new AssertionError("it was not refused");
    }

    /** A request of the model `echo`, which gives back what it gets. */
    static ModelInferRequest.Builder echo(float... values) {
        ByteBuffer raw = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
        raw.asFloatBuffer().put(values);
        return ModelInferRequest.newBuilder().setModelName("echo").setId("of grpc-java")
            .addInputs(ModelInferRequest.InferInputTensor.newBuilder().setName("x").setDatatype("FP32").addShape(values.length))
            .addRawInputContents(ByteString.copyFrom(raw));
    }

    static float[] values(ModelInferResponse answer) {
        ByteBuffer raw = answer.getRawOutputContents(0).asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
        float[] values = new float[raw.remaining() / 4];
        raw.asFloatBuffer().get(values);
        return values;
    }

    /** A request of the model `chaos`, which does as the parameter says. */
    static ModelInferRequest chaos(String parameter, long value) {
        return ModelInferRequest.newBuilder().setModelName("chaos")
            .putParameters(parameter, InferParameter.newBuilder().setInt64Param(value).build())
            .addInputs(ModelInferRequest.InferInputTensor.newBuilder().setName("x").setDatatype("INT32").addShape(1)
                .setContents(InferTensorContents.newBuilder().addIntContents(7)))
            .build();
    }

    private void expectEcho(float[] sent, ModelInferResponse answer) {
        Client.expect(Arrays.equals(values(answer), sent), "other values");
    }

    private void health() throws Exception {
        HealthGrpc.HealthBlockingStub health = HealthGrpc.newBlockingStub(client.channel).withWaitForReady();
        for (String service : List.of("", "inference.GRPCInferenceService")) {
            ServingStatus status = health.check(HealthCheckRequest.newBuilder().setService(service).build()).getStatus();
            Client.expect(status == ServingStatus.SERVING, status);
        }
        HealthCheckRequest unknown = HealthCheckRequest.newBuilder().setService("nix").build();
        expectStatus(Status.Code.NOT_FOUND, "", () -> health.check(unknown));
    }

    private void ready() {
        Client.expect(client.inference().serverLive(ServerLiveRequest.getDefaultInstance()).getLive(), false);
        Client.expect(client.inference().serverReady(ServerReadyRequest.getDefaultInstance()).getReady(), false);
        Client.expect(client.inference().modelReady(ModelReadyRequest.newBuilder().setName("echo").build()).getReady(), false);
    }

    private void serverMetadata() {
        ServerMetadataResponse answer = client.inference().serverMetadata(ServerMetadataRequest.getDefaultInstance());
        Client.expect(!answer.getName().isEmpty() && !answer.getVersion().isEmpty(), answer);
        Client.expect(answer.getExtensionsList().contains("binary_tensor_data"), answer);
    }

    private void modelMetadata() {
        ModelMetadataResponse answer = client.inference().modelMetadata(ModelMetadataRequest.newBuilder().setName("echo").build());
        ModelMetadataResponse.TensorMetadata x = answer.getInputs(0);
        Client.expect(answer.getName().equals("echo") && answer.getVersionsList().equals(List.of("1")), answer);
        Client.expect(x.getName().equals("x") && x.getDatatype().equals("FP32") && x.getShapeList().equals(List.of(-1L)), x);
    }

    private void modelConfig() {
        ModelConfig config = client.inference().modelConfig(ModelConfigRequest.newBuilder().setName("echo").build()).getConfig();
        Client.expect(config.getName().equals("echo") && config.getBackend().equals("identity"), config);
        Client.expect(config.getInput(0).getDataType() == DataType.TYPE_FP32, config);
    }

    private void raw() {
        ModelInferResponse answer = client.inference().modelInfer(echo(1.5f, -2, 3).build());
        Client.expect(answer.getId().equals("of grpc-java") && answer.getModelVersion().equals("1"), answer);
        expectEcho(new float[] {1.5f, -2, 3}, answer);
    }

    private void typed() {
        ModelInferRequest.Builder request = echo(1.5f, -2, 3).clearRawInputContents();
        request.getInputsBuilder(0).getContentsBuilder().addAllFp32Contents(List.of(1.5f, -2f, 3f));
        expectEcho(new float[] {1.5f, -2, 3}, client.inference().modelInfer(request.build()));
    }

    /** Who counts the bytes on the way sees that both messages were compressed. */
    private void compression() {
        float[] sent = new float[COMPRESSIBLE]; // that compress well, but not as a bomb's
        for (int i = 0; i < COMPRESSIBLE; i++) {
            sent[i] = i * 0x9E3779B1 >>> 24;
        }
        expectEcho(sent, client.inference(client.compressed).withCompression("gzip").modelInfer(echo(sent).build()));
    }

    private void large() {
        float[] sent = new float[ELEMENTS];
        for (int i = 0; i < ELEMENTS; i++) {
            sent[i] = i;
        }
        expectEcho(sent, client.inference().modelInfer(echo(sent).build()));
    }

    private void unknown() throws Exception {
        expectStatus(Status.Code.NOT_FOUND, "Request for unknown model: 'nobody' is not found",
            () -> client.inference().modelInfer(echo(1).setModelName("nobody").build()));
    }

    private void deadline() throws Exception {
        expectStatus(Status.Code.DEADLINE_EXCEEDED, "", () -> GRPCInferenceServiceGrpc.newBlockingStub(client.channel)
            .withDeadlineAfter(SOON_MS, TimeUnit.MILLISECONDS).modelInfer(chaos("wait_ms", LONG_MS)));
    }

    private void cancel() throws Exception {
        var timer = Executors.newSingleThreadScheduledExecutor();
        Context.CancellableContext context = Context.current().withCancellation();
        timer.schedule(() -> context.cancel(null), SOON_MS, TimeUnit.MILLISECONDS);
        expectStatus(Status.Code.CANCELLED, "", () -> context.run(() -> client.inference().modelInfer(chaos("wait_ms", LONG_MS))));
        timer.shutdown();
    }

    private GRPCInferenceServiceGrpc.GRPCInferenceServiceBlockingStub bearer(String token) {
        Metadata fields = new Metadata();
        fields.put(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer " + token);
        return client.inference().withInterceptors(MetadataUtils.newAttachHeadersInterceptor(fields));
    }

    private void token() throws Exception {
        RepositoryIndexRequest request = RepositoryIndexRequest.getDefaultInstance();
        Client.expect(bearer(client.token).repositoryIndex(request).getModelsList().stream()
            .anyMatch(one -> one.getName().equals("echo") && one.getState().equals("READY")), "no such model");
        expectStatus(Status.Code.UNAUTHENTICATED, "", () -> bearer("tensord_wrong").repositoryIndex(request));
    }

    private void many() throws Exception {
        var stub = GRPCInferenceServiceGrpc.newFutureStub(client.channel);
        List<Future<ModelInferResponse>> asked = new ArrayList<>();
        for (int i = 0; i < CALLS; i++) {
            asked.add(stub.modelInfer(echo(i).build()));
        }
        for (int i = 0; i < CALLS; i++) {
            expectEcho(new float[] {i}, asked.get(i).get(Client.PATIENCE_S, TimeUnit.SECONDS));
        }
    }
}
