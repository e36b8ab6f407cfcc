// Our HTTP client and server against each other and against raw bytes.
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/write.hpp>

#include "adapters/http/curl_transport.hpp"
#include "adapters/http/server.hpp"
#include "base/task.hpp"
#include "base/task_scope.hpp"

namespace muster {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

class Echo : public HttpHandler {
 public:
  Task<HttpServerResponse> handle(HttpServerRequest request) override {
    ++count;
    HttpServerResponse response;
    response.headers = {{"X-Method", request.method}};
    response.body = request.target + " " + request.body;
    co_return response;
  }
  int count = 0;
};

struct HttpTest : testing::Test {
  asio::io_context context;
  Log log{LogLevel::off};
  Echo echo;
  http::ServerLimits limits;
  int port = 0;

  /// Runs `body` while the server serves.
  template <class Body>
  void with_server(Body body) {
    const auto doing = [](HttpTest* test, Body inner) -> Task<> {
      http::Server server(test->context.get_executor(), test->echo, test->limits, test->log);
      auto acceptor = http::listen(test->context.get_executor(), "127.0.0.1", 0);
      EXPECT_TRUE(acceptor.has_value());
      test->port = acceptor->local_endpoint().port();
      TaskScope scope(test->context.get_executor());
      scope.spawn(server.serve(std::move(*acceptor)));
      co_await inner(test);
      scope.cancel();
      co_await server.stop(0s);
      co_await scope.join();
    };
    asio::co_spawn(context, doing(this, body), [](const std::exception_ptr& failure) {
      if (failure) std::rethrow_exception(failure);
    });
    context.run();
  }

  Task<std::string> raw(std::string bytes) {
    asio::ip::tcp::socket socket(context);
    co_await socket.async_connect(
        {asio::ip::make_address("127.0.0.1"), static_cast<unsigned short>(port)}, use_task);
    boost::system::error_code ignored;
    co_await asio::async_write(socket, asio::buffer(bytes),
                               asio::redirect_error(use_task, ignored));
    std::string answer;
    co_await asio::async_read(socket, asio::dynamic_buffer(answer),
                              asio::redirect_error(use_task, ignored));
    co_return answer;
  }
};

TEST_F(HttpTest, CarriesRequestsAndAnswers) {
  with_server([](HttpTest* test) -> Task<> {
    http::CurlTransport client(test->context.get_executor(), {});
    for (int i = 0; i < 3; ++i) {
      HttpRequest request;
      request.method = "POST";
      request.url = "http://127.0.0.1:" + std::to_string(test->port) + "/a?b=c";
      request.body = "body";
      const auto answer = co_await client.send(request);
      EXPECT_TRUE(answer.has_value());
      EXPECT_EQ(answer->status, 200);
      EXPECT_EQ(answer->body, "/a?b=c body");
      EXPECT_EQ(header_value(answer->headers, "x-method"), "POST");
    }
    EXPECT_EQ(test->echo.count, 3);
  });
}

TEST_F(HttpTest, BoundsWhatItTakesIn) {
  limits.body_bytes_max = 1000;
  limits.header_bytes_max = 2000;
  with_server([](HttpTest* test) -> Task<> {
    const std::string large =
        co_await test->raw("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n");
    EXPECT_TRUE(large.starts_with("HTTP/1.1 413")) << large;
    const std::string header =
        co_await test->raw("GET / HTTP/1.1\r\nX: " + std::string(5000, 'x') + "\r\n\r\n");
    EXPECT_TRUE(header.starts_with("HTTP/1.1 431")) << header;
    const std::string rubbish = co_await test->raw("rubbish\r\n\r\n");
    EXPECT_TRUE(rubbish.starts_with("HTTP/1.1 400")) << rubbish;
    EXPECT_EQ(test->echo.count, 0);
  });
}

TEST_F(HttpTest, EndsASlowRequest) {
  limits.read_time_max = 200ms;
  with_server([](HttpTest* test) -> Task<> {
    const std::string answer = co_await test->raw("GET / HTTP/1.1\r\nHost: x\r\n");
    EXPECT_TRUE(answer.empty()) << answer;
  });
}

TEST_F(HttpTest, TellsAClientWhatWentWrong) {
  with_server([](HttpTest* test) -> Task<> {
    http::CurlTransport client(test->context.get_executor(), {});
    HttpRequest request;
    request.url = "http://127.0.0.1:1/";
    EXPECT_EQ((co_await client.send(request)).error().kind, ErrorKind::unavailable);
    request.url = "http://nobody.invalid/";
    EXPECT_FALSE((co_await client.send(request)).has_value());
    request.url = "http://127.0.0.1:" + std::to_string(test->port) + "/" + std::string(500, 'x');
    request.response_bytes_max = 100;
    EXPECT_EQ((co_await client.send(request)).error().kind, ErrorKind::corrupt);
  });
}

}  // namespace
}  // namespace muster
