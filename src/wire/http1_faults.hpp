// What can be wrong with a message: the status for the sender of a request, and a sentence.
#pragma once

#include "wire/http1.hpp"

namespace tunnel_uring::http1::faults {

// ── lines ──
inline constexpr http_fault bare_lf{
    400, "a line ends with a bare LF; end each line of the head with CRLF"};
inline constexpr http_fault bare_cr{
    400, "a line has a CR without LF; end each line of the head with CRLF"};
inline constexpr http_fault control_byte{
    400, "the head has a control byte; remove it, or encode it in the field's own way"};
inline constexpr http_fault not_http{
    400,
    "what came is not the beginning of an HTTP/1.1 message; check that the sender speaks "
    "plain HTTP/1.1 to this port"};
inline constexpr http_fault too_many_empty_lines{
    400, "several empty lines come before the request; send the request line first"};
inline constexpr http_fault head_too_large{
    431,
    "the fields are larger than accepted; send fewer or shorter ones, or raise the limit of a "
    "head's bytes"};
inline constexpr http_fault target_too_long{
    414,
    "the request line is longer than accepted; shorten the target, or raise the limit of a "
    "head's bytes"};
inline constexpr http_fault too_many_fields{
    431, "the message has more fields than accepted; send fewer, or raise the limit of fields"};
inline constexpr http_fault cut_short{
    400, "the connection ended inside a message; its sender must send all that it announces"};

// ── start lines ──
inline constexpr http_fault bad_request_line{
    400, "the request line is not `METHOD target HTTP/1.1` with single spaces"};
inline constexpr http_fault bad_target{
    400,
    "the request's target is no path, no absolute http URL and not `*` of OPTIONS; encode "
    "spaces and control bytes, and leave the fragment out"};
inline constexpr http_fault bad_version{505, "the HTTP version is not supported; use 1.1 (or 1.0)"};
inline constexpr http_fault unknown_method{501, "the method is not known; use a registered one"};
inline constexpr http_fault no_connect{405, "CONNECT is not allowed: this is no forward proxy"};
inline constexpr http_fault bad_status_line{
    502, "the status line is not `HTTP/1.1 NNN reason`; check what listens at the upstream"};
inline constexpr http_fault unasked_switch{
    502, "the upstream switched protocols without having been asked to"};

// ── fields ──
inline constexpr http_fault folded_line{
    400, "a line of the head begins with white space; send each field on one line"};
inline constexpr http_fault no_colon{400, "a field has no colon; send `name: value`"};
inline constexpr http_fault bad_field_name{
    400,
    "a field's name is no token; use letters, digits and dashes, and no space before the "
    "colon"};
inline constexpr http_fault bad_field{400, "a field's value is malformed"};
inline constexpr http_fault disguised_field{
    400,
    "a field's name is that of Host, Content-Length or Transfer-Encoding with an underscore; "
    "write it with a dash"};
inline constexpr http_fault missing_host{400, "the request has no Host; send exactly one"};
inline constexpr http_fault repeated_host{400, "the request has several Host; send exactly one"};
inline constexpr http_fault bad_host{
    400, "the Host is no name or address with perhaps a port; send `Host: name:port`"};
inline constexpr http_fault other_host{
    400, "the target's authority is not what Host says; make them the same"};
inline constexpr http_fault bad_connection{
    400, "Connection is no list of a few field names; send tokens with commas between them"};
inline constexpr http_fault connection_names_framing{
    400, "Connection names Host or a field that frames the body; leave those out of it"};
inline constexpr http_fault bad_expectation{417, "the only expectation known is 100-continue"};

// ── framing ──
inline constexpr http_fault length_and_encoding{
    400, "the message has both Content-Length and Transfer-Encoding; send one of them"};
inline constexpr http_fault several_lengths{
    400, "the message has several Content-Length; send exactly one"};
inline constexpr http_fault bad_length{
    400, "Content-Length is no number of bytes; send one number in decimal digits"};
inline constexpr http_fault bad_encoding{
    400,
    "Transfer-Encoding is not exactly one `chunked`; send the body chunked, or with a "
    "Content-Length"};
inline constexpr http_fault encoding_in_1_0{
    400, "a message of HTTP/1.0 has Transfer-Encoding; use HTTP/1.1 or Content-Length"};
inline constexpr http_fault body_not_allowed{
    502, "an answer that has no body declares one; 1xx and 204 end with their head"};
inline constexpr http_fault bad_chunk_size{
    400, "a chunk's size is malformed or too large; send it in hexadecimal digits and CRLF"};
inline constexpr http_fault bad_chunk_extension{
    400, "a chunk's extension is malformed; send `;name=value`, or none"};
inline constexpr http_fault chunk_extensions_too_long{
    400, "the extensions of the chunks are longer than a whole head may be; send none"};
inline constexpr http_fault bad_chunk_end{
    400, "a chunk is not followed by CRLF where its size says that it ends"};

}  // namespace tunnel_uring::http1::faults
