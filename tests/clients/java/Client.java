import inference.GRPCInferenceServiceGrpc;
import io.grpc.ManagedChannel;
import io.grpc.netty.NettyChannelBuilder;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * A client of grpc-java over Netty, with stubs that are generated from proto/, asks a server for everything: `Client TARGET
 * COMPRESSED WATCHED TOKEN`, three addresses of the same server and a token. It writes a line for each check (README.md).
 */
final class Client {
    static final int PATIENCE_S = 60;

    /** What a check does; an exception fails it. */
    interface Check {
        void run() throws Exception;
    }

    final ManagedChannel channel, compressed, watched;
    final String token;

    private Client(String[] arguments) {
        channel = connect(arguments[0]).build();
        compressed = connect(arguments[1]).build();
        watched = connect(arguments[2]).keepAliveTime(10, TimeUnit.SECONDS).keepAliveWithoutCalls(true).build();
        token = arguments[3];
    }

    private static NettyChannelBuilder connect(String target) {
        return NettyChannelBuilder.forTarget(target).usePlaintext().maxInboundMessageSize(64 << 20);
    }

    /** The service, with a deadline from now on. */
    GRPCInferenceServiceGrpc.GRPCInferenceServiceBlockingStub inference() {
        return inference(channel);
    }

    GRPCInferenceServiceGrpc.GRPCInferenceServiceBlockingStub inference(ManagedChannel channel) {
        return GRPCInferenceServiceGrpc.newBlockingStub(channel).withDeadlineAfter(PATIENCE_S, TimeUnit.SECONDS);
    }

    static void expect(boolean good, Object got) {
        if (!good) {
            throw new AssertionError("got " + got);
        }
    }

    private static boolean isGood(String name, Check check) {
        try {
            check.run();
            System.out.println("ok: " + name);
            return true;
        } catch (Throwable reason) {
            System.out.println(("FAILED: " + name + ": " + reason).replace('\n', ' '));
            return false;
        }
    }

    public static void main(String[] arguments) {
        Client client = new Client(arguments);
        boolean good = true;
        for (Map<String, Check> checks : List.of(Unary.checks(client), Streams.checks(client))) {
            for (Map.Entry<String, Check> one : checks.entrySet()) {
                good &= isGood(one.getKey(), one.getValue());
            }
        }
        System.exit(good ? 0 : 1);
    }
}
