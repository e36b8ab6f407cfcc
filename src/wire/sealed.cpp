#include "wire/sealed.hpp"

#include <openssl/evp.h>

#include <memory>

#include "base/check.hpp"

namespace muster::wire {
namespace {

constexpr std::size_t kKeyBytes = 32;
constexpr std::size_t kNonceBytes = 12;
constexpr std::size_t kTagBytes = 16;

struct CipherFree {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Cipher = std::unique_ptr<EVP_CIPHER_CTX, CipherFree>;

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* bytes_of(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

}  // namespace

std::string seal(const Secret& key, std::string_view nonce, std::string_view plain) {
  MUSTER_CHECK(key.reveal().size() == kKeyBytes && nonce.size() == kNonceBytes);
  const Cipher cipher(EVP_CIPHER_CTX_new());
  std::string out(plain.size(), '\0');
  std::string tag(kTagBytes, '\0');
  int size = 0;
  const bool is_fine =
      EVP_EncryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, bytes_of(key.reveal()),
                         bytes_of(nonce)) == 1 &&
      EVP_EncryptUpdate(cipher.get(), bytes_of(out), &size, bytes_of(plain),
                        static_cast<int>(plain.size())) == 1 &&
      EVP_EncryptFinal_ex(cipher.get(), bytes_of(out) + size, &size) == 1 &&
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG, kTagBytes, tag.data()) == 1;
  MUSTER_CHECK(is_fine);
  return std::string(nonce) + out + tag;
}

Result<Secret> unseal(const Secret& key, std::string_view sealed) {
  const auto refused = [] {
    return fail(ErrorKind::corrupt, "an encrypted text cannot be read: another key, or damaged");
  };
  if (key.reveal().size() != kKeyBytes || sealed.size() < kNonceBytes + kTagBytes) return refused();
  const std::string_view nonce = sealed.substr(0, kNonceBytes);
  const std::string_view body = sealed.substr(kNonceBytes, sealed.size() - kNonceBytes - kTagBytes);
  std::string tag(sealed.substr(sealed.size() - kTagBytes));
  const Cipher cipher(EVP_CIPHER_CTX_new());
  std::string out(body.size(), '\0');
  int size = 0;
  const bool is_fine =
      EVP_DecryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, bytes_of(key.reveal()),
                         bytes_of(nonce)) == 1 &&
      EVP_DecryptUpdate(cipher.get(), bytes_of(out), &size, bytes_of(body),
                        static_cast<int>(body.size())) == 1 &&
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, kTagBytes, tag.data()) == 1 &&
      EVP_DecryptFinal_ex(cipher.get(), bytes_of(out) + size, &size) == 1;
  if (!is_fine) return refused();
  return Secret(std::move(out));
}

}  // namespace muster::wire
