#include "wire/digest.hpp"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <array>
#include <memory>

#include "base/check.hpp"

namespace muster::wire {
namespace {

struct MacFree {
  void operator()(EVP_MAC* mac) const { EVP_MAC_free(mac); }
  void operator()(EVP_MAC_CTX* context) const { EVP_MAC_CTX_free(context); }
};

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

unsigned char* bytes_of(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

}  // namespace

std::string sha256(std::string_view bytes) {
  std::string out(32, '\0');
  unsigned int size = 0;
  MUSTER_CHECK(
      EVP_Digest(bytes.data(), bytes.size(), bytes_of(out), &size, EVP_sha256(), nullptr) == 1);
  return out;
}

std::string hmac_sha256(std::string_view key, std::string_view bytes) {
  static const std::unique_ptr<EVP_MAC, MacFree> mac(EVP_MAC_fetch(nullptr, "HMAC", nullptr));
  MUSTER_CHECK(mac != nullptr);
  const std::unique_ptr<EVP_MAC_CTX, MacFree> context(EVP_MAC_CTX_new(mac.get()));
  std::array<char, 7> digest{"SHA256"};
  const std::array<OSSL_PARAM, 2> parameters{
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.data(), 0),
      OSSL_PARAM_construct_end()};
  // An empty key must still be a pointer: null means "the key of before".
  const std::string_view given = key.data() == nullptr ? std::string_view("") : key;
  MUSTER_CHECK(EVP_MAC_init(context.get(), bytes_of(given), given.size(), parameters.data()) == 1);
  MUSTER_CHECK(EVP_MAC_update(context.get(), bytes_of(bytes), bytes.size()) == 1);
  std::string out(32, '\0');
  std::size_t size = 0;
  MUSTER_CHECK(EVP_MAC_final(context.get(), bytes_of(out), &size, out.size()) == 1);
  return out;
}

std::string hkdf_sha256(std::string_view secret, std::string_view purpose, std::size_t length) {
  const std::string key = hmac_sha256(std::string(32, '\0'), secret);
  std::string out;
  std::string block;
  for (char counter = 1; out.size() < length; ++counter) {
    MUSTER_CHECK(counter < 100);
    block = hmac_sha256(key, block + std::string(purpose) + counter);
    out += block;
  }
  return out.substr(0, length);
}

bool equals_in_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace muster::wire
