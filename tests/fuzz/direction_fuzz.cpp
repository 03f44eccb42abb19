// The state machine of a direction. A sender and a receiver talk over an ordered queue: whatever
// the steps, an honest sender is never accused, every byte sent is taken, and both agree about the
// end. Then a receiver hears a liar: it may object, and must never count bytes that it did not get.
#include "wire/direction.hpp"

#include <deque>
#include <utility>

#include "fuzz/fuzz.hpp"

using namespace tunnel_uring;

namespace {

constexpr std::uint64_t window = 64;

struct message {
    enum kind { data, claim, run_bytes, release, end, credit, stop } what;
    std::uint64_t value = 0;
    bool flag = false;  // end: cut; credit: resume.
};

class honest_pair {
  public:
    void step(std::uint8_t choice, std::uint8_t amount) {
        switch (choice % 9) {
            case 0: send_data(amount); break;
            case 1: send_run(amount); break;
            case 2: begin_run(); break;
            case 3: end_run(); break;
            case 4: deliver(); break;
            case 5: take(amount); break;
            case 6: stop(); break;
            case 7: grant(); break;
            default: hear(); break;
        }
    }

    void finish() {
        if (!sender_.ended()) end();
        while (!in_flight_.empty()) deliver();
        take(receiver_.held());
        TU_ASSERT(receiver_.finished() && taken_ == sender_.offset());
        TU_ASSERT(receiver_.complete() == !stop_said_);
    }

    void end() {
        sender_.end();
        in_flight_.push_back({message::end, sender_.offset(), sender_.stopped()});
    }

    bool ended() const noexcept { return sender_.ended(); }

  private:
    void send_data(std::uint64_t amount) {
        amount = std::min(amount, sender_.ended() ? 0 : sender_.available());
        if (amount == 0) return;
        sender_.sent(amount);
        in_flight_.push_back({message::data, amount});
    }
    void send_run(std::uint64_t amount) {
        if (!sender_.in_run() || sender_.ended()) return;
        sender_.sent(amount);
        in_flight_.push_back({message::run_bytes, amount});
    }
    void begin_run() {
        if (sender_.in_run() || sender_.ended() || !sender_.may_claim()) return;
        in_flight_.push_back({message::claim, sender_.offset()});
        sender_.claim();
    }
    void end_run() {
        if (!sender_.in_run() || sender_.ended()) return;
        sender_.release();
        in_flight_.push_back({message::release, sender_.offset()});
    }
    void deliver() {
        if (in_flight_.empty()) return;
        const message next = in_flight_.front();
        in_flight_.pop_front();
        switch (next.what) {
            case message::data: TU_ASSERT(!receiver_.on_data(next.value)); break;
            case message::claim: TU_ASSERT(!receiver_.on_claim(next.value)); break;
            case message::run_bytes: TU_ASSERT(!receiver_.on_run_bytes(next.value)); break;
            case message::release: TU_ASSERT(!receiver_.on_release(next.value)); break;
            case message::credit:
            case message::stop: TU_ASSERT(false); break;
            case message::end: TU_ASSERT(!receiver_.on_end(next.value, next.flag)); break;
        }
        close_run();
    }
    void take(std::uint64_t amount) {
        amount = std::min(amount, receiver_.held());
        receiver_.took(amount);
        taken_ += amount;
        close_run();
    }
    void close_run() {
        if (receiver_.run_over()) receiver_.run_closed();
    }
    void stop() {
        if (receiver_.marked() || stop_said_) return;
        stop_said_ = true;
        receiver_.stop();
        answers_.push_back({message::stop});
    }
    // As an exchange does: due at one moment, framed at a later one.
    void grant() {
        if (!std::exchange(grant_due_, receiver_.grant_due(window)) || receiver_.marked()) return;
        grant_due_ = false;
        const bool resume = receiver_.resumes();
        answers_.push_back({message::credit, receiver_.grant(window), resume});
    }
    void hear() {
        if (answers_.empty()) return;
        const message next = answers_.front();
        answers_.pop_front();
        if (next.what == message::stop) TU_ASSERT(!sender_.on_stop());
        else TU_ASSERT(!sender_.on_credit(next.value, next.flag));
    }

    send_direction sender_{window};
    receive_direction receiver_{window};
    std::deque<message> in_flight_;
    std::deque<message> answers_;
    std::uint64_t taken_ = 0;
    bool stop_said_ = false;
    bool grant_due_ = false;
};

void listen_to_a_liar(fuzz_input input) {
    receive_direction receiver{window};
    std::uint64_t arrived = 0;
    std::uint64_t taken = 0;
    while (!input.empty()) {
        const std::uint8_t choice = input.byte();
        const std::uint64_t value = input.byte();
        bool refused = false;
        switch (choice % 7) {
            case 0:
                refused = receiver.on_data(value).has_value();
                if (!refused) arrived += value;
                break;
            case 1: refused = receiver.on_claim(value).has_value(); break;
            case 2:
                if (!receiver.in_run()) break;
                refused = receiver.on_run_bytes(value).has_value();
                arrived += value;
                break;
            case 3: refused = receiver.on_release(value).has_value(); break;
            case 4: refused = receiver.on_end(value, (choice & 0x80U) != 0).has_value(); break;
            case 5:
                taken += std::min(value, receiver.held());
                receiver.took(std::min(value, receiver.held()));
                break;
            default: receiver.stop(); break;
        }
        // The session ends at a peer's first error.
        if (refused) return;
        TU_ASSERT(receiver.held() == arrived - taken);
        if (receiver.run_over()) receiver.run_closed();
        if (receiver.grant_due(window)) receiver.grant(window);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz_input input{data, size};
    listen_to_a_liar(input);
    honest_pair pair;
    while (!input.empty() && !pair.ended()) {
        const std::uint8_t choice = input.byte();
        if (choice == 0xFF) pair.end();
        else pair.step(choice, input.byte());
    }
    pair.finish();
    return 0;
}
