#include "ec2sim/json_api.hpp"

#include "base/document.hpp"
#include "wire/json.hpp"

namespace ec2sim {

using ec2model::Ec2Error;
using muster::Node;

muster::HttpServerResponse JsonApi::success(const std::string&, const std::string& body,
                                            const std::string& request_id) const {
  muster::HttpServerResponse response;
  response.headers = {{"Content-Type", "application/x-amz-json-1.1"},
                      {"x-amzn-RequestId", request_id}};
  response.body = body;
  return response;
}

muster::HttpServerResponse JsonApi::refusal(const Ec2Error& error,
                                            const std::string& request_id) const {
  Node body = Node::mapping();
  body.set("__type", Node::string(error.code));
  if (!error.message.empty()) body.set("message", Node::string(error.message));
  muster::HttpServerResponse response;
  response.status = error.status;
  response.headers = {{"Content-Type", "application/x-amz-json-1.1"},
                      {"x-amzn-RequestId", request_id}};
  response.body = muster::wire::to_json(body);
  return response;
}

Ec2Error JsonApi::translate(Ec2Error error) const {
  if (error.code == "AuthFailure") {
    return {"UnrecognizedClientException", 400,
            "The security token included in the request is invalid."};
  }
  if (error.code == "RequestExpired") {
    const bool is_skew = error.message.starts_with("Request");
    return {is_skew ? "InvalidSignatureException" : "ExpiredTokenException", 400,
            is_skew ? "Signature expired" : error.message};
  }
  if (error.code == "SignatureDoesNotMatch")
    return {"InvalidSignatureException", 400, error.message};
  if (error.code == "MissingAuthenticationToken") {
    return {"MissingAuthenticationTokenException", 400, error.message};
  }
  return error;
}

Ec2Error JsonApi::throttled() const { return {"ThrottlingException", 400, "Rate exceeded"}; }

Ec2Error JsonApi::internal_failure() const {
  return {"InternalServerError", 500, "An error occurred on the server side."};
}

}  // namespace ec2sim
