// Readers of what comes from outside: each with its limits.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "wire/console.hpp"
#include "wire/encoding.hpp"
#include "wire/follow_marks.hpp"
#include "wire/ini.hpp"
#include "wire/json.hpp"
#include "wire/mime.hpp"
#include "wire/openssh_key.hpp"
#include "wire/url.hpp"
#include "wire/xml.hpp"
#include "wire/yaml.hpp"

namespace muster::wire {
namespace {

YamlOptions named(std::string file) {
  YamlOptions options;
  options.file = std::move(file);
  return options;
}

RC_GTEST_PROP(Base64Law, DecodesWhatItEncoded, (const std::string& bytes)) {
  RC_ASSERT(base64_decode(base64_encode(bytes)) == bytes);
}

RC_GTEST_PROP(FormLaw, DecodesWhatItEncoded, (const Parameters& given)) {
  Parameters named_only;
  for (const auto& one : given) {
    if (!one.first.empty()) named_only.push_back(one);
  }
  RC_ASSERT(form_decode(form_encode(named_only)) == named_only);
}

RC_GTEST_PROP(JsonLaw, ReadsBackEveryString, (const std::string& text)) {
  std::string ascii = text;
  for (char& c : ascii) c = static_cast<char>(c & 0x7f);
  const auto read = parse_json(to_json(Node::string(ascii)));
  RC_ASSERT(read.has_value());
  RC_ASSERT(read->text == ascii);
}

TEST(Base64, RefusesWhatIsNotStrict) {
  for (const char* text : {"a", "ab", "abc", "ab=c", "a===", "====", "YWJj\n", "YR==", "YWK="}) {
    EXPECT_FALSE(base64_decode(text).has_value()) << text;
  }
}

TEST(Percent, KeepsOnlyUnreserved) {
  EXPECT_EQ(percent_encode("a b/é~"), "a%20b%2F%C3%A9~");
  EXPECT_EQ(percent_decode("%zz"), std::nullopt);
  EXPECT_EQ(percent_decode("%4"), std::nullopt);
  EXPECT_EQ(percent_decode("%41"), "A");
}

TEST(Json, NamesThePlaceOfAMistake) {
  const auto read = parse_json("{\n  \"a\": tru\n}");
  ASSERT_FALSE(read.has_value());
  EXPECT_NE(read.error().message.find("line 2"), std::string::npos) << read.error().message;
}

TEST(Json, RefusesDuplicateKeysDepthAndTrailingText) {
  EXPECT_FALSE(parse_json(R"({"a":1,"a":2})").has_value());
  EXPECT_FALSE(parse_json(std::string(100, '[') + std::string(100, ']')).has_value());
  EXPECT_FALSE(parse_json("1 2").has_value());
  EXPECT_FALSE(parse_json("").has_value());
  EXPECT_FALSE(parse_json("\"open").has_value());
}

TEST(Json, KeepsStringsApartFromNumbers) {
  const auto read = parse_json(R"({"a":"1","b":1,"c":null,"d":[true,-2.5e3]})");
  ASSERT_TRUE(read.has_value());
  EXPECT_TRUE(read->find("a")->is_quoted);
  EXPECT_FALSE(read->find("b")->is_quoted);
  EXPECT_EQ(to_json(*read), R"({"a":"1","b":1,"c":null,"d":[true,-2.5e3]})");
}

TEST(Yaml, KeepsPlaces) {
  const auto read = parse_yaml("a:\n  - x\n  - y\n", named("f.yml"));
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->find("a")->items[1].mark.describe(), "f.yml:3:5");
}

TEST(Yaml, RefusesDuplicateKeys) {
  const auto read = parse_yaml("a: 1\nb: 2\na: 3\n", named("f.yml"));
  ASSERT_FALSE(read.has_value());
  EXPECT_NE(read.error().message.find("f.yml:3:1"), std::string::npos) << read.error().message;
}

TEST(Yaml, LetsTheLastDuplicateWinWhereAsked) {
  YamlOptions options = named("f");
  options.allows_duplicates = true;
  EXPECT_EQ(parse_yaml("a: 1\na: 3\n", options)->text_at({"a"}), "3");
}

TEST(Yaml, RefusesOpenQuotes) {
  EXPECT_FALSE(parse_yaml("a: \"open\nb: 1\n", named("f")).has_value());
  EXPECT_FALSE(parse_yaml("a: 'open", named("f")).has_value());
  EXPECT_TRUE(parse_yaml("a: 'it''s'", named("f")).has_value());
}

TEST(Yaml, BoundsAliasBombsAndDepth) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 9; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 10; ++j) bomb += (j ? ", " : "") + before;
    bomb += "]\n";
  }
  const auto read = parse_yaml(bomb, named("f"));
  ASSERT_FALSE(read.has_value());
  EXPECT_NE(read.error().message.find("aliases"), std::string::npos) << read.error().message;
  EXPECT_FALSE(parse_yaml(std::string(300, '[') + std::string(300, ']'), named("f")).has_value());
}

TEST(Yaml, ResolvesMergeKeys) {
  const auto read = parse_yaml("base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\n", named("f"));
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->text_at({"use", "x"}), "1");
  EXPECT_EQ(read->text_at({"use", "y"}), "3");
}

TEST(Xml, ReadsListsAndRefusesRubbish) {
  const auto read = parse_xml("<r xmlns=\"u\"><set><item><id>1</id></item><item/></set><e/></r>");
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->items("set").size(), 2U);
  EXPECT_EQ(read->items("set").front()->text_at({"id"}), "1");
  EXPECT_FALSE(parse_xml("<a><b></a>").has_value());
  EXPECT_FALSE(parse_xml("no xml").has_value());
  EXPECT_FALSE(parse_xml("<!DOCTYPE a [<!ENTITY b \"x\">]>").has_value());
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += "<a>";
  for (int i = 0; i < 100; ++i) deep += "</a>";
  EXPECT_FALSE(parse_xml(deep).has_value());
}

TEST(Xml, DoesNotExpandEntities) {
  const auto read = parse_xml("<!DOCTYPE a [<!ENTITY b \"boom\">]><a>&b;&amp;</a>");
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->text, "&b;&");
}

TEST(XmlWriter, EscapesAndCloses) {
  XmlWriter out;
  out.open("a").text("b", "<&>").text("c", "").close();
  EXPECT_EQ(out.take(), "<a><b>&lt;&amp;&gt;</b><c/></a>");
}

TEST(Ini, ReadsAwsFiles) {
  const auto read = parse_ini(
      "# c\n[default]\nRegion = eu-west-1 ; near\n[profile ci]\ns3 =\n  max = 3\nkey=v\n", "f");
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->at("default").at("region"), "eu-west-1");
  EXPECT_EQ(read->at("profile ci").at("s3.max"), "3");
  EXPECT_EQ(read->at("profile ci").at("key"), "v");
  EXPECT_FALSE(parse_ini("key = 1\n", "f").has_value());
  EXPECT_FALSE(parse_ini("[a\n", "f").has_value());
}

TEST(Url, ReadsAndRefuses) {
  EXPECT_EQ(parse_url("https://h.example:8443/a?b=c")->authority(), "h.example:8443");
  EXPECT_EQ(parse_url("http://[::1]:80")->authority(), "[::1]");
  for (const char* text : {"", "ftp://x", "http://", "http://u@h", "http://h:0", "http://h:x",
                           "http://h/#f", "http://h /", "http://[::1"}) {
    EXPECT_FALSE(parse_url(text).has_value()) << text;
  }
}

const char* const kKey = "AAAAC3NzaC1lZDI1NTE5AAAAIJthMLfbjqUedf8S+m7fzyRh8gV2LZLaa9Sj+pJTOCC8";

std::string block(const std::string& lines) {
  return "-----BEGIN SSH HOST KEY KEYS-----\r\n" + lines + "-----END SSH HOST KEY KEYS-----\r\n";
}

TEST(ConsoleHostKeys, AcceptsPrefixesWithinTheBlock) {
  for (const char* prefix : {"", "<14>", "<14>ec2: ", "ec2: ", "[   12.3] cloud-init[7]: "}) {
    const auto keys = parse_console_host_keys(
        "noise\n" + block(std::string(prefix) + "ssh-ed25519 " + kKey + " root@x\r\n"));
    ASSERT_EQ(keys.size(), 1U) << prefix;
    EXPECT_EQ(keys[0].base64, kKey);
  }
}

TEST(ConsoleHostKeys, TrustsOnlyTheFirstCompleteBlock) {
  const std::string line = std::string("ssh-ed25519 ") + kKey + "\n";
  EXPECT_TRUE(parse_console_host_keys(line).empty());
  EXPECT_TRUE(parse_console_host_keys("-----BEGIN SSH HOST KEY KEYS-----\n" + line).empty());
  EXPECT_TRUE(parse_console_host_keys(block("") + block(line)).empty());
}

TEST(ConsoleHostKeys, RefusesABlobOfAnotherType) {
  EXPECT_TRUE(parse_console_host_keys(block("ssh-rsa " + std::string(kKey) + "\n")).empty());
  EXPECT_TRUE(parse_console_host_keys(block("ssh-ed25519 notbase64!\n")).empty());
}

TEST(Mime, ReadsWhatItWrites) {
  const auto parts =
      parse_multipart(write_multipart({{"text/x-shellscript", "#!/bin/sh\necho ==muster==\n"},
                                       {"text/cloud-config", "#cloud-config\nruncmd: []"}}));
  ASSERT_TRUE(parts.has_value());
  ASSERT_EQ(parts->size(), 2U);
  EXPECT_EQ((*parts)[0].body, "#!/bin/sh\necho ==muster==\n");
  EXPECT_EQ((*parts)[1].media_type, "text/cloud-config");
  EXPECT_FALSE(
      parse_multipart("Content-Type: multipart/mixed; boundary=x\n\n--x\n\nbody").has_value());
  EXPECT_FALSE(parse_multipart("Content-Type: text/plain\n\n").has_value());
}

TEST(SshKey, IsTheSameForTheSameSeed) {
  const std::string seed(32, 's');
  EXPECT_EQ(ssh_key_of_seed(seed, "c").private_text.reveal(),
            ssh_key_of_seed(seed, "c").private_text.reveal());
  EXPECT_NE(ssh_key_of_seed(seed, "c").public_blob,
            ssh_key_of_seed(std::string(32, 't'), "c").public_blob);
  EXPECT_TRUE(ssh_fingerprint(ssh_key_of_seed(seed, "c").public_blob).starts_with("SHA256:"));
}

TEST(FollowMarks, CountsOnlyWholeMarkedLines) {
  FollowMarks marks;
  marks.feed("bash: no job control\nmuster-ex");
  EXPECT_FALSE(marks.end());
  marks.feed("it 137     42\n");
  ASSERT_TRUE(marks.end());
  EXPECT_EQ(marks.end()->code, 137);
  EXPECT_EQ(marks.end()->size, 42);
  EXPECT_FALSE(marks.is_lost());
  marks.feed("muster-lost\n");
  EXPECT_TRUE(marks.is_lost());
}

TEST(FollowMarks, TellsOfAFullDisk) {
  FollowMarks marks;
  marks.feed("muster-exit 0 7 full     \n");
  ASSERT_TRUE(marks.end());
  EXPECT_TRUE(marks.end()->is_disk_full);
  EXPECT_EQ(marks.end()->size, 7);
  FollowMarks padded;
  padded.feed("muster-exit 3 12                 \n");
  ASSERT_TRUE(padded.end());
  EXPECT_FALSE(padded.end()->is_disk_full);
  EXPECT_EQ(padded.end()->size, 12);
}

TEST(FollowMarks, IgnoresWhatIsNoMark) {
  for (const char* line : {"muster-exit 1\n", "muster-exit x 1\n", "muster-exit 256 1\n",
                           "muster-exit 1 -1\n", " muster-exit 1 1\n", "muster-exit 1  \n"}) {
    FollowMarks marks;
    marks.feed(line);
    EXPECT_FALSE(marks.end()) << line;
  }
  FollowMarks marks;
  marks.feed(std::string(1000, 'x') + "muster-exit 1 1\nmuster-exit 2 3\n");
  ASSERT_TRUE(marks.end());
  EXPECT_EQ(marks.end()->code, 2);
}

}  // namespace
}  // namespace muster::wire
