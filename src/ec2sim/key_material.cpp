#include "ec2sim/key_material.hpp"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>

#include <memory>
#include <sstream>

#include "base/check.hpp"
#include "wire/digest.hpp"
#include "wire/encoding.hpp"
#include "wire/openssh_key.hpp"

namespace ec2sim {
namespace {

namespace wire = muster::wire;

template <auto kFree>
struct Freer {
  template <class T>
  void operator()(T* one) const {
    kFree(one);
  }
};
using KeyHandle = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using BioHandle = std::unique_ptr<BIO, Freer<BIO_free_all>>;
using NumberHandle = std::unique_ptr<BIGNUM, Freer<BN_free>>;

std::string colons(const std::string& bytes) {
  const std::string hex = wire::hex_encode(bytes);
  std::string out;
  for (std::size_t i = 0; i < hex.size(); i += 2) out += (i == 0 ? "" : ":") + hex.substr(i, 2);
  return out;
}

std::string digest_of(const std::string& bytes, const EVP_MD* method) {
  std::string out(EVP_MAX_MD_SIZE, '\0');
  unsigned size = 0;
  EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(out.data()), &size,
             method, nullptr);
  out.resize(size);
  return out;
}

std::string der_of_public(EVP_PKEY* key) {
  unsigned char* bytes = nullptr;
  const int size = i2d_PUBKEY(key, &bytes);
  std::string out(reinterpret_cast<char*>(bytes), size > 0 ? static_cast<std::size_t>(size) : 0);
  OPENSSL_free(bytes);
  return out;
}

std::string der_of_private(EVP_PKEY* key) {
  const std::unique_ptr<PKCS8_PRIV_KEY_INFO, Freer<PKCS8_PRIV_KEY_INFO_free>> info(
      EVP_PKEY2PKCS8(key));
  unsigned char* bytes = nullptr;
  const int size = i2d_PKCS8_PRIV_KEY_INFO(info.get(), &bytes);
  std::string out(reinterpret_cast<char*>(bytes), size > 0 ? static_cast<std::size_t>(size) : 0);
  OPENSSL_free(bytes);
  return out;
}

std::string ssh_string(const std::string& bytes) {
  std::string out;
  for (const unsigned shift : {24U, 16U, 8U, 0U}) {
    out += static_cast<char>(bytes.size() >> shift & 255);
  }
  return out + bytes;
}

/// One string of an SSH blob from `at` on; nothing if the blob is too short.
std::optional<std::string> take_string(const std::string& blob, std::size_t& at) {
  if (blob.size() < at + 4) return std::nullopt;
  std::size_t size = 0;
  for (int i = 0; i < 4; ++i) size = size << 8 | static_cast<unsigned char>(blob[at++]);
  if (size > blob.size() - at) return std::nullopt;
  std::string out = blob.substr(at, size);
  at += size;
  return out;
}

std::string number_of(EVP_PKEY* key, const char* name) {
  BIGNUM* raw = nullptr;
  EVP_PKEY_get_bn_param(key, name, &raw);
  const NumberHandle number(raw);
  std::string bytes(static_cast<std::size_t>(BN_num_bytes(number.get())), '\0');
  BN_bn2bin(number.get(), reinterpret_cast<unsigned char*>(bytes.data()));
  // SSH numbers are signed: a set first bit would make them negative.
  if (!bytes.empty() && (bytes.front() & 0x80) != 0) bytes.insert(bytes.begin(), '\0');
  return bytes;
}

std::string rsa_line(EVP_PKEY* key, const std::string& comment) {
  const std::string blob = ssh_string("ssh-rsa") +
                           ssh_string(number_of(key, OSSL_PKEY_PARAM_RSA_E)) +
                           ssh_string(number_of(key, OSSL_PKEY_PARAM_RSA_N));
  return fmt::format("ssh-rsa {}{}{}", wire::base64_encode(blob), comment.empty() ? "" : " ",
                     comment);
}

KeyHandle rsa_of_blob(const std::string& blob) {
  std::size_t at = 0;
  const auto name = take_string(blob, at);
  const auto exponent = take_string(blob, at);
  const auto modulus = take_string(blob, at);
  if (!name || !exponent || !modulus || at != blob.size()) return nullptr;
  const auto number = [](const std::string& bytes) {
    return NumberHandle(BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes.data()),
                                  static_cast<int>(bytes.size()), nullptr));
  };
  const NumberHandle e = number(*exponent);
  const NumberHandle n = number(*modulus);
  const std::unique_ptr<OSSL_PARAM_BLD, Freer<OSSL_PARAM_BLD_free>> builder(OSSL_PARAM_BLD_new());
  OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get());
  OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get());
  const std::unique_ptr<OSSL_PARAM, Freer<OSSL_PARAM_free>> parameters(
      OSSL_PARAM_BLD_to_param(builder.get()));
  const std::unique_ptr<EVP_PKEY_CTX, Freer<EVP_PKEY_CTX_free>> context(
      EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr));
  EVP_PKEY* raw = nullptr;
  EVP_PKEY_fromdata_init(context.get());
  EVP_PKEY_fromdata(context.get(), &raw, EVP_PKEY_PUBLIC_KEY, parameters.get());
  return KeyHandle(raw);
}

/// EC2 shows the fingerprint of ed25519 keys with its padding and without `SHA256:`.
std::string ed25519_fingerprint(const std::string& blob) {
  return wire::base64_encode(wire::sha256(blob));
}

std::optional<PublicKey> read_pem(const std::string& text) {
  const BioHandle bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  const KeyHandle key(PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr));
  if (!key || EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_RSA) return std::nullopt;
  return PublicKey{"rsa", rsa_line(key.get(), ""),
                   colons(digest_of(der_of_public(key.get()), EVP_md5()))};
}

}  // namespace

std::optional<PublicKey> read_public_key(const std::string& text) {
  if (text.starts_with("-----BEGIN ")) return read_pem(text);
  std::istringstream words(text);
  std::string name;
  std::string encoded;
  words >> name >> encoded;
  const auto blob = wire::base64_decode(encoded);
  if (!blob) return std::nullopt;
  std::size_t at = 0;
  if (take_string(*blob, at) != name) return std::nullopt;
  std::string line = text.substr(0, text.find_first_of("\r\n"));
  if (name == "ssh-ed25519") {
    const auto point = take_string(*blob, at);
    if (!point || point->size() != 32 || at != blob->size()) return std::nullopt;
    return PublicKey{"ed25519", line, ed25519_fingerprint(*blob)};
  }
  if (name != "ssh-rsa") return std::nullopt;
  const KeyHandle key = rsa_of_blob(*blob);
  if (!key) return std::nullopt;
  return PublicKey{"rsa", line, colons(digest_of(der_of_public(key.get()), EVP_md5()))};
}

CreatedKey create_key_pair(const std::string& type, const std::string& comment) {
  if (type == "ed25519") {
    std::string seed(32, '\0');
    MUSTER_CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(seed.data()), 32) == 1);
    const wire::SshKeyPair pair = wire::ssh_key_of_seed(seed, comment);
    const std::string blob = wire::base64_decode(pair.public_blob).value_or("");
    return {{"ed25519", pair.public_line, ed25519_fingerprint(blob)}, pair.private_text};
  }
  const KeyHandle key(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{2048}));
  MUSTER_CHECK(key != nullptr);
  const BioHandle bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_PrivateKey_traditional(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return {{"rsa", rsa_line(key.get(), comment),
           colons(digest_of(der_of_private(key.get()), EVP_sha1()))},
          muster::Secret(std::string(text, static_cast<std::size_t>(size)))};
}

}  // namespace ec2sim
