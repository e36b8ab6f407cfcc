// How many EC2 calls a second can be signed on one core.
#include <fmt/format.h>

#include <chrono>

#include "wire/digest.hpp"
#include "wire/sigv4.hpp"

int main() {
  using namespace muster;
  const wire::AwsCredentials credentials{"AKIDEXAMPLE", Secret("secret"), Secret(), std::nullopt};
  const std::string body(600, 'x');
  const TimePoint now{std::chrono::seconds{1'700'000'000}};
  constexpr int kCount = 200'000;
  const auto started = std::chrono::steady_clock::now();
  std::size_t kept = 0;
  for (int i = 0; i < kCount; ++i) {
    wire::SigV4Request request;
    request.method = "POST";
    request.payload_hash = wire::hex_encode(wire::sha256(body));
    request.headers = {{"host", "ec2.us-east-1.amazonaws.com"},
                       {"content-type", "application/x-www-form-urlencoded; charset=utf-8"}};
    wire::sign(request, credentials, "us-east-1", "ec2", now + std::chrono::seconds{i % 60});
    kept += request.headers.size();
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  fmt::print("signatures          {:.0f} a second (n {}, {} headers)\n", kCount / seconds, kCount,
             kept / kCount);
}
