#include "tunnel/session.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace tunnel_uring {

session::session(byte_path& path, end_role role, const heartbeat_limits& limits,
                 exchange_host* host, cancel_token stop) noexcept
    : path_{path},
      role_{role},
      limits_{limits},
      host_{host},
      dying_{stop},
      last_heard_{path.io.now()} {}

task<std::string> session::run_shared_lane(stream connection, std::uint32_t number) {
    shared_lane lane{*this, path_, bulk_out_, bulk_in_, role_, std::move(connection), number};
    lanes_.push_back(lane);
    lanes_count_ += 1;
    lanes_changed_.notify();
    heard();
    if (retiring_) lane.retire();
    std::string why = co_await lane.run(dying_.token());
    lane.unlink();
    lanes_count_ -= 1;
    lanes_changed_.notify();
    co_return why;
}

task<> session::run_bulk_sender(stream connection, std::uint32_t number) {
    heard();
    co_await bulk_out_.tend(std::move(connection), number, dying_.token());
}

task<> session::run_bulk_receiver(stream connection, std::uint32_t number) {
    heard();
    co_await bulk_in_.tend(std::move(connection), number, dying_.token());
}

task<> session::watch() {
    while (!dying_.requested()) {
        const result<void> slept = co_await path_.io.sleep(limits_.interval, dying_.token());
        if (!slept) break;
        bulk_out_.shrink();
        if (retiring_ && !may_hear()) continue;
        if (path_.io.now() - last_heard_ >= limits_.interval) ping_all();
        if (path_.io.now() - last_heard_ < limits_.loss) continue;
        // A saturated CPU is not a dead peer: what is ready to be read counts first.
        const bool alive = co_await answers(std::min<duration>(limits_.interval, 1s));
        if (alive) continue;
        const auto silence = std::chrono::duration<double>(path_.io.now() - last_heard_);
        kill(fmt::format("nothing heard for {:.1f} s", silence.count()));
    }
}

task<bool> session::answers(duration limit) {
    const time_point asked = path_.io.now();
    ping_all();
    while (last_heard_ <= asked && path_.io.now() - asked < limit) {
        const result<void> slept = co_await path_.io.sleep(10ms, dying_.token());
        if (!slept) co_return false;
    }
    co_return last_heard_ > asked;
}

shared_lane* session::least_busy() noexcept {
    shared_lane* best = nullptr;
    lanes_.for_each([&best](shared_lane& lane) {
        if (lane.usable() && (best == nullptr || lane.load() < best->load())) best = &lane;
    });
    return best;
}

std::size_t session::exchanges() const noexcept {
    std::size_t sum = 0;
    const_cast<intrusive_list<shared_lane>&>(lanes_).for_each(
        [&sum](shared_lane& lane) { sum += lane.load(); });
    return sum;
}

lane_counts session::lanes() const noexcept {
    lane_counts now;
    now.shared = lanes_count_;
    now.bulk_sending = bulk_out_.standing();
    now.bulk_busy = bulk_out_.busy();
    now.bulk_receiving = bulk_in_.standing();
    now.exchanges = exchanges();
    return now;
}

bool session::serves(std::uint32_t number) noexcept {
    bool found = false;
    lanes_.for_each([&found, number](shared_lane& lane) {
        found = found || (lane.number() == number && lane.usable());
    });
    return found;
}

void session::retire_lane(std::uint32_t number) noexcept {
    lanes_.for_each([number](shared_lane& lane) {
        if (lane.number() == number) lane.retire();
    });
}

void session::retire() noexcept {
    retiring_ = true;
    lanes_.for_each([](shared_lane& lane) { lane.retire(); });
}

task<> session::end_runs() {
    while (bulk_out_.busy() > 0 && !dying_.requested()) {
        const result<void> changed = co_await bulk_out_.changed().wait(dying_.token());
        static_cast<void>(changed);
    }
}

void session::kill(std::string why) noexcept {
    if (dying_.requested()) return;
    why_killed_ = std::move(why);
    dying_.request();
}

void session::opened(shared_lane& lane, std::uint32_t id, const open_frame& what) {
    host_->opened(lane, id, what);
}

// False when every lane has been closed, and the last exchanges only write what they have.
bool session::may_hear() noexcept {
    bool open = false;
    lanes_.for_each([&open](shared_lane& lane) { open = open || !lane.lost(); });
    return open;
}

void session::ping_all() noexcept {
    lanes_.for_each([](shared_lane& lane) { lane.ping(); });
}

}  // namespace tunnel_uring
