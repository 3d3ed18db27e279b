// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

// The floor: what it costs to move bytes from a pipe to a TLS socket when nothing else is done. Two plain loops,
// without records, frames, queues or confirmation:
//
//   naive      read(pipe), SSL_write: one TLS record, one write(2)
//   gathered   frame header and payload in one TLS record, records gathered in a BIO of our own, 128 KiB a write(2)
//
// Usage: floor naive|gathered PORT CA CERTIFICATE KEY, the pipe as standard input, until its end.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PIPE_SIZE = 1 << 20,
    READ_SIZE = 256 << 10,
    MARGIN = 16,
    HEADER = 9,
    PAYLOAD = 16384 - HEADER,
    GATHER = 128 << 10,
    QUEUE = GATHER + (64 << 10),
};

static void fail(const char *what) {
    fprintf(stderr, "floor: %s: %s\n", what, errno ? strerror(errno) : "failed");
    ERR_print_errors_fp(stderr);
    exit(1);
}

static struct {
    unsigned char bytes[QUEUE];
    size_t count;
} queue;

static int queue_write(BIO *bio, const char *bytes, int count) {
    BIO_clear_retry_flags(bio);
    if (queue.count + (size_t)count > QUEUE) return -1;
    memcpy(queue.bytes + queue.count, bytes, (size_t)count);
    queue.count += (size_t)count;
    return count;
}

static long queue_control(BIO *bio, int command, long number, void *pointer) {
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static void flush_queue(int fd) {
    size_t sent = 0;
    while (sent < queue.count) {
        ssize_t count = write(fd, queue.bytes + sent, queue.count - sent);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) fail("write");
        sent += (size_t)count;
    }
    queue.count = 0;
}

static SSL *secure(int fd, char **files) {
    static const unsigned char h2[] = {2, 'h', '2'};
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context || SSL_CTX_load_verify_locations(context, files[0], NULL) != 1 ||
        SSL_CTX_use_certificate_chain_file(context, files[1]) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, files[2], SSL_FILETYPE_PEM) != 1)
        fail("certificates");
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_alpn_protos(context, h2, sizeof h2);
    SSL *ssl = SSL_new(context);
    if (!ssl || SSL_set_fd(ssl, fd) != 1 || SSL_set1_host(ssl, "elkeid.com") != 1 || SSL_connect(ssl) != 1)
        fail("TLS handshake");
    return ssl;
}

static int dial(const char *port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) fail("connect");
    return fd;
}

int main(int count, char **arguments) {
    if (count != 6) {
        fprintf(stderr, "usage: floor naive|gathered PORT CA CERTIFICATE KEY\n");
        return 2;
    }
    int gathered = strcmp(arguments[1], "gathered") == 0;
    int fd = dial(arguments[2]);
    SSL *ssl = secure(fd, arguments + 3);
    if (gathered) {
        BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "queue");
        BIO_meth_set_write(method, queue_write);
        BIO_meth_set_ctrl(method, queue_control);
        BIO *bio = BIO_new(method);
        BIO_set_init(bio, 1);
        SSL_set0_wbio(ssl, bio);
    }
    fcntl(STDIN_FILENO, F_SETPIPE_SZ, PIPE_SIZE);
    static unsigned char buffer[MARGIN + READ_SIZE];
    for (;;) {
        ssize_t got = read(STDIN_FILENO, buffer + MARGIN, READ_SIZE);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) fail("read");
        if (got == 0) break;
        if (!gathered) {
            if (SSL_write(ssl, buffer + MARGIN, (int)got) != got) fail("SSL_write");
            continue;
        }
        for (ssize_t offset = 0; offset < got; offset += PAYLOAD) {
            ssize_t part = got - offset < PAYLOAD ? got - offset : PAYLOAD;
            unsigned char *frame = buffer + MARGIN + offset - HEADER;
            // What stood there was sent with the record before.
            memset(frame, 0, HEADER);
            if (SSL_write(ssl, frame, (int)(HEADER + part)) <= 0) fail("SSL_write");
            if (queue.count >= GATHER) flush_queue(fd);
        }
        flush_queue(fd);
    }
    if (!gathered) SSL_shutdown(ssl);
    close(fd);
    return 0;
}
