#include "wire/openssh_key.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <cstdint>
#include <memory>

#include "base/check.hpp"
#include "wire/digest.hpp"
#include "wire/encoding.hpp"

namespace muster::wire {
namespace {

constexpr std::string_view kType = "ssh-ed25519";

std::string number(std::uint32_t value) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 255);
  return out;
}

std::string field(std::string_view bytes) {
  return number(static_cast<std::uint32_t>(bytes.size())) + std::string(bytes);
}

std::string public_half(std::string_view seed) {
  struct KeyFree {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  };
  const std::unique_ptr<EVP_PKEY, KeyFree> key(EVP_PKEY_new_raw_private_key(
      EVP_PKEY_ED25519, nullptr, reinterpret_cast<const unsigned char*>(seed.data()), seed.size()));
  MUSTER_CHECK(key != nullptr);
  std::string out(32, '\0');
  std::size_t size = out.size();
  MUSTER_CHECK(EVP_PKEY_get_raw_public_key(key.get(), reinterpret_cast<unsigned char*>(out.data()),
                                           &size) == 1);
  return out;
}

}  // namespace

SshKeyPair ssh_key_of_seed(std::string_view seed, std::string_view comment) {
  MUSTER_CHECK(seed.size() == 32);
  const std::string half = public_half(seed);
  const std::string blob = field(kType) + field(half);
  // PROTOCOL.key of OpenSSH: the check number twice, the key, a comment, then padding 1, 2, 3, …
  const std::string check = sha256(seed).substr(0, 4);
  std::string secret =
      check + check + field(kType) + field(half) + field(std::string(seed) + half) + field(comment);
  for (char padding = 1; secret.size() % 8 != 0; ++padding) secret += padding;
  const std::string whole = std::string("openssh-key-v1\0", 15) + field("none") + field("none") +
                            field("") + number(1) + field(blob) + field(secret);
  const std::string encoded = base64_encode(whole);
  std::string text = "-----BEGIN OPENSSH PRIVATE KEY-----\n";
  for (std::size_t i = 0; i < encoded.size(); i += 70) text += encoded.substr(i, 70) + "\n";
  text += "-----END OPENSSH PRIVATE KEY-----\n";
  const std::string public_blob = base64_encode(blob);
  return {Secret(std::move(text)), fmt::format("{} {} {}", kType, public_blob, comment),
          public_blob};
}

std::string ssh_fingerprint(std::string_view public_blob) {
  const auto bytes = base64_decode(public_blob);
  if (!bytes) return {};
  std::string encoded = base64_encode(sha256(*bytes));
  while (encoded.ends_with('=')) encoded.pop_back();
  return "SHA256:" + encoded;
}

}  // namespace muster::wire
