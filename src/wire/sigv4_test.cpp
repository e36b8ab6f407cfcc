#include "wire/sigv4.hpp"

#include <gtest/gtest.h>

#include "wire/digest.hpp"

namespace muster::wire {
namespace {

// AWS's published vectors and ours, as docs/protocols lists them. Letters name them there.

const Secret kSecret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
constexpr const char* kEmptyHash =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

struct Vector {
  SigV4Request request;
  SigV4Scope scope{"20150830", "us-east-1", "service"};
  std::string date = "20150830T123600Z";
  Secret secret = kSecret;
  bool normalises = true;

  [[nodiscard]] std::string canonical() const {
    return canonical_request(request, scope, normalises);
  }
  [[nodiscard]] std::string canonical_hash() const { return hex_encode(sha256(canonical())); }
  [[nodiscard]] std::string signature() const {
    return sigv4_signature(canonical(), date, scope, secret);
  }
};

Vector vanilla() {
  Vector vector;
  vector.request.method = "GET";
  vector.request.headers = {{"Host", "example.amazonaws.com"}, {"X-Amz-Date", vector.date}};
  vector.request.payload_hash = kEmptyHash;
  return vector;
}

TEST(SigV4Key, MatchesPublishedKeys) {
  EXPECT_EQ(hex_encode(sigv4_signing_key({"20150830", "us-east-1", "service"}, kSecret)),
            "938127b5336810ddb6a5d6af445fcac9e371f9ed418ed386b022aed82901be75");
  EXPECT_EQ(hex_encode(sigv4_signing_key({"20150830", "us-east-1", "iam"}, kSecret)),
            "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9");
}

TEST(SigV4Vectors, AVanilla) {
  const Vector vector = vanilla();
  EXPECT_EQ(vector.canonical(),
            "GET\n/\n\nhost:example.amazonaws.com\nx-amz-date:20150830T123600Z\n\n"
            "host;x-amz-date\ne3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(vector.canonical_hash(),
            "bb579772317eb040ac9ed261061d46c1f17a8133879d6129b6e1c25292927e63");
  EXPECT_EQ(vector.signature(), "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
}

TEST(SigV4Vectors, AVanillaInTheQuery) {
  SigV4Request request;
  request.method = "GET";
  request.headers = {{"host", "example.amazonaws.com"}};
  request.payload_hash = kEmptyHash;
  const TimePoint now = *parse_iso8601("20150830T123600Z");
  const Parameters query = presign(request, {"AKIDEXAMPLE", kSecret, Secret(), std::nullopt},
                                   "us-east-1", "service", now, std::chrono::seconds{3600});
  EXPECT_EQ(query.back().first, "X-Amz-Signature");
  EXPECT_EQ(query.back().second,
            "e93c787ed7f371d5c6b165c1b38ede9550f4dce4144713e844b25b7192d3865d");
}

TEST(SigV4Vectors, BQueryOrderEncoded) {
  Vector vector = vanilla();
  vector.request.query = *form_decode("Param-3=Value3&Param=Value2&%E1%88%B4=Value1");
  EXPECT_NE(vector.canonical().find("\n%E1%88%B4=Value1&Param=Value2&Param-3=Value3\n"),
            std::string::npos);
  EXPECT_EQ(vector.signature(), "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac");
}

TEST(SigV4Vectors, CHeaderValuesTrimmed) {
  Vector vector = vanilla();
  vector.request.headers.emplace_back("My-Header1", " value1");
  vector.request.headers.emplace_back("My-Header2", " \"a   b   c\"  ");
  EXPECT_EQ(vector.signature(), "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736");
}

TEST(SigV4Vectors, CRepeatedHeader) {
  Vector vector = vanilla();
  for (const char* value : {"value4", "value1", "value3", "value2"}) {
    vector.request.headers.emplace_back("My-Header1", value);
  }
  EXPECT_EQ(vector.signature(), "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01");
}

TEST(SigV4Vectors, DPaths) {
  Vector vector = vanilla();
  vector.request.path = "/example space/";
  EXPECT_EQ(vector.signature(), "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741");
  vector.request.path = "//example//";
  EXPECT_EQ(vector.signature(), "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84");
  vector.normalises = false;
  EXPECT_EQ(vector.signature(), "87cca117541a147f6df867677d98a7d80dff226d2bfca9e4ffa899665623c7e5");
}

TEST(SigV4Vectors, ESessionTokens) {
  Vector vector = vanilla();
  vector.request.method = "POST";
  vector.request.headers.emplace_back(
      "X-Amz-Security-Token",
      "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSP"
      "fIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT"
      "7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlz"
      "m8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==");
  EXPECT_EQ(vector.signature(), "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead");

  Vector shorter = vanilla();
  shorter.request.headers.emplace_back(
      "X-Amz-Security-Token", "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267");
  EXPECT_EQ(shorter.canonical_hash(),
            "067b36aa60031588cea4a4cde1f21215227a047690c72247f1d70b32fbbfad2b");
  EXPECT_EQ(shorter.signature(),
            "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8");
}

TEST(SigV4Vectors, FFormPost) {
  Vector vector = vanilla();
  vector.request.method = "POST";
  vector.request.payload_hash = hex_encode(sha256("Param1=value1"));
  vector.request.headers.emplace_back("Content-Length", "13");
  vector.request.headers.emplace_back("Content-Type", "application/x-www-form-urlencoded");
  vector.request.headers.emplace_back("X-Amz-Content-Sha256", vector.request.payload_hash);
  EXPECT_EQ(vector.canonical_hash(),
            "b1edd1d03544c25390e32085d55b57acc9a3961bb59415ff86c45c3d89d16cfb");
  EXPECT_EQ(vector.signature(), "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b");
}

TEST(SigV4Vectors, GIam) {
  Vector vector = vanilla();
  vector.scope.service = "iam";
  vector.request.query = {{"Action", "ListUsers"}, {"Version", "2010-05-08"}};
  vector.request.headers = {{"Host", "iam.amazonaws.com"},
                            {"Content-Type", "application/x-www-form-urlencoded; charset=utf-8"},
                            {"X-Amz-Date", vector.date}};
  EXPECT_EQ(vector.canonical_hash(),
            "f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59");
  EXPECT_EQ(vector.signature(), "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7");
}

Vector s3(std::string path, Parameters query) {
  Vector vector;
  vector.scope = {"20130524", "us-east-1", "s3"};
  vector.date = "20130524T000000Z";
  vector.secret = Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
  vector.request.method = "GET";
  vector.request.path = std::move(path);
  vector.request.query = std::move(query);
  vector.request.payload_hash = kEmptyHash;
  vector.request.headers = {{"Host", "examplebucket.s3.amazonaws.com"},
                            {"x-amz-content-sha256", kEmptyHash},
                            {"x-amz-date", vector.date}};
  return vector;
}

TEST(SigV4Vectors, HS3Get) {
  Vector vector = s3("/test.txt", {});
  vector.request.headers.emplace_back("Range", "bytes=0-9");
  EXPECT_EQ(vector.canonical_hash(),
            "7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972");
  EXPECT_EQ(vector.signature(), "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

TEST(SigV4Vectors, HS3Put) {
  Vector vector = s3("/test%24file.text", {});
  vector.request.method = "PUT";
  vector.request.payload_hash = hex_encode(sha256("Welcome to Amazon S3."));
  vector.request.headers = {{"Date", "Fri, 24 May 2013 00:00:00 GMT"},
                            {"Host", "examplebucket.s3.amazonaws.com"},
                            {"x-amz-content-sha256", vector.request.payload_hash},
                            {"x-amz-date", vector.date},
                            {"x-amz-storage-class", "REDUCED_REDUNDANCY"}};
  EXPECT_EQ(vector.canonical_hash(),
            "9e0e90d9c76de8fa5b200d8c849cd5b8dc7a3be3951ddb7f6a76b4158342019d");
  EXPECT_EQ(vector.signature(), "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

TEST(SigV4Vectors, HS3Queries) {
  EXPECT_EQ(s3("/", {{"lifecycle", ""}}).canonical_hash(),
            "9766c798316ff2757b517bc739a67f6213b4ab36dd5da2f94eaebf79c77395ca");
  EXPECT_EQ(s3("/", {{"lifecycle", ""}}).signature(),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
  EXPECT_EQ(s3("/", {{"max-keys", "2"}, {"prefix", "J"}}).canonical_hash(),
            "df57d21db20da04d7fa30298dd4488ba3a2b47ca3a489c74750e0f1e7df1b9b7");
  EXPECT_EQ(s3("/", {{"max-keys", "2"}, {"prefix", "J"}}).signature(),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

TEST(SigV4Vectors, HS3Presigned) {
  SigV4Request request;
  request.method = "GET";
  request.path = "/test.txt";
  request.headers = {{"host", "examplebucket.s3.amazonaws.com"}};
  request.payload_hash = "UNSIGNED-PAYLOAD";
  const AwsCredentials credentials{"AKIAIOSFODNN7EXAMPLE",
                                   Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), Secret(),
                                   std::nullopt};
  const Parameters query = presign(request, credentials, "us-east-1", "s3",
                                   *parse_iso8601("20130524T000000Z"), std::chrono::seconds{86400});
  EXPECT_EQ(query.back().second,
            "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
}

TEST(SigV4Vectors, IRunInstances) {
  const std::string body =
      "Action=RunInstances&Version=2016-11-15&ClientToken=muster-0001&ImageId=ami-"
      "0123456789abcdef0&InstanceType=m7i.large&MaxCount=1&MinCount=1&SubnetId=subnet-0a1b2c3d&"
      "TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=muster%3Apool&"
      "TagSpecification.1.Tag.1.Value=linux%20x64";
  ASSERT_EQ(body.size(), 289U);
  SigV4Request request;
  request.method = "POST";
  request.payload_hash = hex_encode(sha256(body));
  EXPECT_EQ(request.payload_hash,
            "401c11c39fb926c1a81b873a464b5de6c4e0e3c1e754e01c42327280efe10873");
  request.headers = {{"host", "ec2.eu-west-1.amazonaws.com"},
                     {"content-type", "application/x-www-form-urlencoded; charset=utf-8"}};
  sign(request, {"AKIDEXAMPLE", kSecret, Secret(), std::nullopt}, "eu-west-1", "ec2",
       *parse_iso8601("20260102T030405Z"));
  EXPECT_TRUE(request.headers.back().second.ends_with(
      "Signature=9ddf97a43191869d3a60f0420dd25a0e7dbb88545cb571230ec947e0ecb33e07"))
      << request.headers.back().second;
}

TEST(SigV4Vectors, ISsmWithToken) {
  SigV4Request request;
  request.method = "POST";
  request.payload_hash =
      hex_encode(sha256(R"({"Name":"/muster/tokens/i-0123456789abcdef0","WithDecryption":true})"));
  request.headers = {{"host", "ssm.eu-west-1.amazonaws.com"},
                     {"content-type", "application/x-amz-json-1.1"},
                     {"x-amz-target", "AmazonSSM.GetParameter"}};
  sign(request, {"AKIDEXAMPLE", kSecret, Secret("AQoDYXdzEXAMPLE/tok+en=="), std::nullopt},
       "eu-west-1", "ssm", *parse_iso8601("20260102T030405Z"));
  EXPECT_TRUE(request.headers.back().second.ends_with(
      "Signature=8ab63c81866680139c45045fc89ce92a4579914b395e050574ac43620b78dbad"));
}

TEST(SigV4Vectors, IS3OddKey) {
  SigV4Request request;
  request.method = "GET";
  request.path = "/cache//a%20b%2Bc/%C3%A9~x.tar.zst";
  request.payload_hash = kEmptyHash;
  request.headers = {{"host", "examplebucket.s3.us-east-1.amazonaws.com"},
                     {"x-amz-content-sha256", kEmptyHash}};
  sign(request, {"AKIDEXAMPLE", kSecret, Secret(), std::nullopt}, "us-east-1", "s3",
       *parse_iso8601("20260102T030405Z"));
  EXPECT_TRUE(request.headers.back().second.ends_with(
      "Signature=54f3ca0d3372f42ccaf6fa4ee142c662e5638f19f538bf6d34f804ea286ef520"))
      << request.headers.back().second;
}

TEST(ParseAuthorization, TakesAHeaderApart) {
  const auto parsed = parse_authorization(
      "AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/ec2/aws4_request, "
      "SignedHeaders=host;x-amz-date, Signature=abc");
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->access_key_id, "AKID");
  EXPECT_EQ(parsed->scope.service, "ec2");
  EXPECT_EQ(parsed->signed_headers.size(), 2U);
}

TEST(ParseAuthorization, RefusesHalfOfOne) {
  for (const char* text :
       {"", "Bearer x", "AWS4-HMAC-SHA256 Credential=a/b", "AWS4-HMAC-SHA256 Signature=abc"}) {
    EXPECT_FALSE(parse_authorization(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace muster::wire
