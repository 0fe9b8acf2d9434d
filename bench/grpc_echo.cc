// A peer: the least that a server on Debian's libgrpc++ can do. It answers any unary call with the bytes it was sent, on one completion
// queue and one thread. Prints its port.
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>

#include <cstdio>
#include <memory>

// One call: waits for a request, reads it, writes it back, starts over.
class Call {
public:
    Call(grpc::AsyncGenericService *service, grpc::ServerCompletionQueue *queue)
        : service_(service), queue_(queue), stream_(&context_)
    {
        service_->RequestCall(&context_, &stream_, queue_, queue_, this);
    }

    void proceed(bool ok)
    {
        if (!ok || step_ == Step::Done) {
            delete this;
        } else if (step_ == Step::Wait) {
            new Call(service_, queue_);
            step_ = Step::Read;
            stream_.Read(&message_, this);
        } else {
            step_ = Step::Done;
            stream_.WriteAndFinish(message_, grpc::WriteOptions(), grpc::Status::OK, this);
        }
    }

private:
    enum class Step { Wait, Read, Done };
    grpc::AsyncGenericService *service_;
    grpc::ServerCompletionQueue *queue_;
    grpc::GenericServerContext context_;
    grpc::GenericServerAsyncReaderWriter stream_;
    grpc::ByteBuffer message_;
    Step step_ = Step::Wait;
};

int main()
{
    int port = 0;
    grpc::AsyncGenericService service;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterAsyncGenericService(&service);
    std::unique_ptr<grpc::ServerCompletionQueue> queue = builder.AddCompletionQueue();
    std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
    std::printf("%d\n", port);
    std::fflush(stdout);
    for (int i = 0; i < 64; i++)
        new Call(&service, queue.get());
    void *tag;
    bool ok;
    while (queue->Next(&tag, &ok))
        static_cast<Call *>(tag)->proceed(ok);
}
