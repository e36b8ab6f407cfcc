// How many EC2 calls a second can be signed on one core.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <vector>

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
  std::vector<double> each;
  each.reserve(kCount);
  for (int i = 0; i < kCount; ++i) {
    const auto before = std::chrono::steady_clock::now();
    wire::SigV4Request request;
    request.method = "POST";
    request.payload_hash = wire::hex_encode(wire::sha256(body));
    request.headers = {{"host", "ec2.us-east-1.amazonaws.com"},
                       {"content-type", "application/x-www-form-urlencoded; charset=utf-8"}};
    wire::sign(request, credentials, "us-east-1", "ec2", now + std::chrono::seconds{i % 60});
    kept += request.headers.size();
    each.push_back(
        std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - before)
            .count());
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  std::sort(each.begin(), each.end());
  fmt::print(
      "signatures          {:.0f} a second, each p50 {:.1f} us, p99 {:.1f} us (n {}, {} headers)\n",
      kCount / seconds, each[kCount / 2], each[kCount * 99 / 100], kCount, kept / kCount);
}
