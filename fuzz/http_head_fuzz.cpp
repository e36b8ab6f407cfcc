#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "adapters/http/stream_transport.hpp"
#include "simulation/virtual_clock.hpp"

namespace {

/// Answers with the given bytes, a few at a time, whatever it is asked.
class Answer : public muster::ByteStream {
 public:
  explicit Answer(std::string bytes) : bytes_(std::move(bytes)) {}
  muster::Task<muster::Result<std::string>> read(std::size_t bytes_max) override {
    const std::size_t size = std::min<std::size_t>(bytes_max, 7);
    std::string part = bytes_.substr(0, size);
    bytes_.erase(0, size);
    co_return part;
  }
  muster::Task<muster::Status> write(std::string) override { co_return muster::Status(); }
  muster::Task<muster::Status> close_write() override { co_return muster::Status(); }

 private:
  std::string bytes_;
};

class Opener : public muster::StreamOpener {
 public:
  explicit Opener(std::string bytes) : bytes_(std::move(bytes)) {}
  muster::Task<muster::Result<std::unique_ptr<muster::ByteStream>>> open() override {
    std::unique_ptr<muster::ByteStream> stream = std::make_unique<Answer>(bytes_);
    co_return stream;
  }

 private:
  std::string bytes_;
};

muster::Task<> exchange(muster::http::StreamTransport* transport) {
  muster::HttpRequest request;
  request.url = "http://engine/version";
  request.response_bytes_max = 1 << 16;
  muster::Task<muster::Result<muster::HttpResponse>> sending = transport->send(request);
  const muster::Result<muster::HttpResponse> answer = co_await std::move(sending);
  if (answer && answer->body.size() > (1 << 16)) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  boost::asio::io_context context{1};
  muster::simulation::VirtualClock clock(context);
  Opener opener(std::string(reinterpret_cast<const char*>(data), size));
  muster::http::StreamTransport transport(opener, clock);
  if (!clock.run(exchange(&transport))) __builtin_trap();
  return 0;
}
