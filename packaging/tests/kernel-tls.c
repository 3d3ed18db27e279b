// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0
//
// Kernel TLS, for the tests of whole machines: what a program does that has agreed on keys, and leaves the records to
// the kernel. TLS 1.3 with AES-GCM, over connections on the loopback interface. Prints what it has seen; ends with 1 if
// something is not as it should be.
#include <errno.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef TCP_ULP
#define TCP_ULP 31
#endif
#ifndef SOL_TLS
#define SOL_TLS 282
#endif

// More than two records, and than what one segment holds.
enum { PAYLOAD = 40000 };

static void need(int is_true, const char *what) {
    if (is_true)
        return;
    printf("%s: %s\n", what, strerror(errno));
    exit(1);
}

// The two ends of a connection.
static void connect_ends(int ends[2]) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    need(listener >= 0 && bind(listener, (struct sockaddr *)&address, size) == 0 && listen(listener, 1) == 0, "listen");
    need(getsockname(listener, (struct sockaddr *)&address, &size) == 0, "getsockname");
    ends[0] = socket(AF_INET, SOCK_STREAM, 0);
    need(connect(ends[0], (struct sockaddr *)&address, size) == 0, "connect");
    ends[1] = accept(listener, NULL, NULL);
    need(ends[1] >= 0, "accept");
    close(listener);
}

static void use_kernel_tls(int end) { need(setsockopt(end, IPPROTO_TCP, TCP_ULP, "tls", 4) == 0, "TCP_ULP tls"); }

// direction: TLS_TX or TLS_RX. The seed stands for what a handshake agrees on.
static void set_key(int end, int direction, int bits, unsigned char seed) {
    const char *what = direction == TLS_TX ? "TLS_TX" : "TLS_RX";
    if (bits == 128) {
        struct tls12_crypto_info_aes_gcm_128 keys = {.info = {TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128}};
        memset(keys.key, seed, sizeof keys.key);
        memset(keys.salt, seed + 1, sizeof keys.salt);
        memset(keys.iv, seed + 2, sizeof keys.iv);
        need(setsockopt(end, SOL_TLS, direction, &keys, sizeof keys) == 0, what);
    } else {
        struct tls12_crypto_info_aes_gcm_256 keys = {.info = {TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_256}};
        memset(keys.key, seed, sizeof keys.key);
        memset(keys.salt, seed + 1, sizeof keys.salt);
        memset(keys.iv, seed + 2, sizeof keys.iv);
        need(setsockopt(end, SOL_TLS, direction, &keys, sizeof keys) == 0, what);
    }
}

static void send_all(int end, const unsigned char *bytes, size_t count) {
    while (count > 0) {
        ssize_t sent = send(end, bytes, count, MSG_NOSIGNAL);
        need(sent > 0, "send");
        bytes += sent;
        count -= (size_t)sent;
    }
}

static void receive_all(int end, unsigned char *bytes, size_t count) {
    while (count > 0) {
        ssize_t received = recv(end, bytes, count, 0);
        need(received > 0, "recv");
        bytes += received;
        count -= (size_t)received;
    }
}

// There, and back with other keys, by another process.
static void round_trip(int bits) {
    static unsigned char sent[PAYLOAD], received[PAYLOAD];
    int ends[2], status;
    for (int i = 0; i < PAYLOAD; i++)
        sent[i] = (unsigned char)(i * 7 + i / 256);
    connect_ends(ends);
    for (int i = 0; i < 2; i++) {
        use_kernel_tls(ends[i]);
        set_key(ends[i], TLS_TX, bits, i == 0 ? 10 : 20);
        set_key(ends[i], TLS_RX, bits, i == 0 ? 20 : 10);
    }
    pid_t echo = fork();
    need(echo >= 0, "fork");
    if (echo == 0) {
        receive_all(ends[1], received, PAYLOAD);
        send_all(ends[1], received, PAYLOAD);
        _exit(0);
    }
    send_all(ends[0], sent, PAYLOAD);
    receive_all(ends[0], received, PAYLOAD);
    need(waitpid(echo, &status, 0) == echo && status == 0, "the other end");
    errno = 0;
    need(memcmp(sent, received, PAYLOAD) == 0, "what came back is not what was sent");
    close(ends[0]);
    close(ends[1]);
    printf("AES-GCM of %d bits: %d bytes there and back\n", bits, PAYLOAD);
}

// Who has no key sees a record of TLS: its head, the text and its type, and a tag of 16 bytes.
static void look_at_record(int bits) {
    static const char text[] = "not for others";
    enum { LENGTH = sizeof text + 1 + 16 };
    unsigned char record[5 + LENGTH];
    int ends[2];
    connect_ends(ends);
    use_kernel_tls(ends[0]);
    set_key(ends[0], TLS_TX, bits, 10);
    send_all(ends[0], (const unsigned char *)text, sizeof text);
    receive_all(ends[1], record, sizeof record);
    errno = 0;
    need(memcmp(record, "\x17\x03\x03\x00", 4) == 0 && record[4] == LENGTH, "this is no record of TLS");
    need(memcmp(record + 5, text, sizeof text) != 0, "the text is there to be read");
    close(ends[0]);
    close(ends[1]);
    printf("AES-GCM of %d bits: a record on the wire\n", bits);
}

static void refuse_other_key(int bits) {
    unsigned char byte = 0;
    int ends[2];
    connect_ends(ends);
    use_kernel_tls(ends[0]);
    use_kernel_tls(ends[1]);
    set_key(ends[0], TLS_TX, bits, 10);
    set_key(ends[1], TLS_RX, bits, 30);
    send_all(ends[0], &byte, 1);
    need(recv(ends[1], &byte, 1, 0) == -1 && errno == EBADMSG, "with another key");
    close(ends[0]);
    close(ends[1]);
    printf("AES-GCM of %d bits: refused with another key\n", bits);
}

int main(void) {
    // Whatever hangs.
    alarm(30);
    for (int bits = 128; bits <= 256; bits += 128) {
        round_trip(bits);
        look_at_record(bits);
        refuse_other_key(bits);
    }
    return 0;
}
