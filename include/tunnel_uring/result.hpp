// result<T>: what a network, a peer or a kernel can do to us, as a value that must be looked at.
//
// An error is a number from errno(3) and, where a person will read it, one sentence that says what,
// where and the remedy. On the byte path the sentence is empty and nothing is allocated.
#pragma once

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

namespace tunnel_uring {

class [[nodiscard]] error {
  public:
    // `code` is positive, from errno(3). ECANCELED is an outcome (somebody asked), ETIMEDOUT a
    // deadline of ours.
    explicit error(int code) noexcept : code_{code} {}
    error(int code, std::string sentence) noexcept : code_{code}, sentence_{std::move(sentence)} {}

    int code() const noexcept { return code_; }
    bool cancelled() const noexcept { return code_ == ECANCELED; }
    const std::string& sentence() const noexcept { return sentence_; }
    // The sentence, or strerror(3) of the code where there is none.
    std::string message() const { return sentence_.empty() ? std::strerror(code_) : sentence_; }

  private:
    int code_;
    std::string sentence_;
};

template <class T>
class [[nodiscard]] result {
  public:
    result(T value) noexcept : value_{std::move(value)} {}  // NOLINT(google-explicit-constructor)
    result(class error failure) noexcept
        : error_{std::move(failure)} {}  // NOLINT(google-explicit-constructor)

    explicit operator bool() const noexcept { return value_.has_value(); }
    bool has_value() const noexcept { return value_.has_value(); }
    // Reading the value of a failure, or the error of a success, ends the program: only a bug can
    // do it.
    T& operator*() & noexcept { return check(), *value_; }
    const T& operator*() const& noexcept { return check(), *value_; }
    T&& operator*() && noexcept { return check(), std::move(*value_); }
    T* operator->() noexcept { return check(), &*value_; }
    const T* operator->() const noexcept { return check(), &*value_; }
    const class error& error() const noexcept {
        if (value_) std::abort();
        return error_;
    }

  private:
    void check() const noexcept {
        if (!value_) std::abort();
    }
    std::optional<T> value_;
    class error error_{0};
};

template <>
class [[nodiscard]] result<void> {
  public:
    result() noexcept = default;
    result(class error failure) noexcept
        : error_{std::move(failure)} {}  // NOLINT(google-explicit-constructor)

    explicit operator bool() const noexcept { return error_.code() == 0; }
    bool has_value() const noexcept { return error_.code() == 0; }
    const class error& error() const noexcept {
        if (error_.code() == 0) std::abort();
        return error_;
    }

  private:
    class error error_{0};
};

}  // namespace tunnel_uring
