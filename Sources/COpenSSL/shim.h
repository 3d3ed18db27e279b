// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

// OpenSSL 3.0, and a function for each macro that Swift cannot import.
#ifndef COPENSSL_SHIM_H
#define COPENSSL_SHIM_H

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdint.h>
#include <time.h>

static inline long COpenSSL_set_min_version(SSL_CTX *context, int version) {
    return SSL_CTX_set_min_proto_version(context, version);
}
static inline long COpenSSL_set_max_version(SSL_CTX *context, int version) {
    return SSL_CTX_set_max_proto_version(context, version);
}
static inline long COpenSSL_set_mode(SSL_CTX *context, long mode) { return SSL_CTX_set_mode(context, mode); }
static inline void COpenSSL_forbid_renegotiation(SSL_CTX *context) {
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION);
}
static inline int COpenSSL_err_library(unsigned long code) { return ERR_GET_LIB(code); }
static inline int COpenSSL_err_reason(unsigned long code) { return ERR_GET_REASON(code); }
static inline void COpenSSL_bio_clear_retry(BIO *bio) { BIO_clear_retry_flags(bio); }
static inline void COpenSSL_bio_set_retry_read(BIO *bio) { BIO_set_retry_read(bio); }
static inline void COpenSSL_bio_set_retry_write(BIO *bio) { BIO_set_retry_write(bio); }
static inline int COpenSSL_set_host(SSL *ssl, const char *name) {
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, name);
}

/// The peer's certificate, and the one of its chain that a verification failed for: OpenSSL forgets both with the handshake.
struct COpenSSL_refusal {
    X509 *peer, *refused;
};
static inline struct COpenSSL_refusal *COpenSSL_refusal(const SSL *ssl) {
    return (struct COpenSSL_refusal *)SSL_get_app_data(ssl);
}
static inline int COpenSSL_keep_refused(int is_good, X509_STORE_CTX *store) {
    SSL *ssl = (SSL *)X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    X509 *peer = X509_STORE_CTX_get0_cert(store), *refused = X509_STORE_CTX_get_current_cert(store);
    struct COpenSSL_refusal *refusal = NULL;
    if (is_good || ssl == NULL || peer == NULL || COpenSSL_refusal(ssl) != NULL ||
        (refusal = (struct COpenSSL_refusal *)OPENSSL_zalloc(sizeof *refusal)) == NULL)
        return is_good;
    refusal->peer = peer;
    refusal->refused = refused != NULL ? refused : peer;
    X509_up_ref(refusal->peer);
    X509_up_ref(refusal->refused);
    (void)SSL_set_app_data(ssl, refusal);
    return is_good;
}
static inline void COpenSSL_remember_refused(SSL *ssl) {
    SSL_set_verify(ssl, SSL_get_verify_mode(ssl), COpenSSL_keep_refused);
}
/// Both stay the session's; NULL when nothing was refused.
static inline X509 *COpenSSL_refused_peer(const SSL *ssl) {
    return COpenSSL_refusal(ssl) == NULL ? NULL : COpenSSL_refusal(ssl)->peer;
}
static inline X509 *COpenSSL_refused(const SSL *ssl) {
    return COpenSSL_refusal(ssl) == NULL ? NULL : COpenSSL_refusal(ssl)->refused;
}
static inline void COpenSSL_forget_refused(SSL *ssl) {
    struct COpenSSL_refusal *refusal = COpenSSL_refusal(ssl);
    if (refusal == NULL)
        return;
    X509_free(refusal->peer);
    X509_free(refusal->refused);
    OPENSSL_free(refusal);
    (void)SSL_set_app_data(ssl, NULL);
}

static inline const char *COpenSSL_cipher(const SSL *ssl) { return SSL_get_cipher_name(ssl); }
/// A distinguished name in one line (RFC 2253).
static inline int COpenSSL_print_name(BIO *bio, const X509_NAME *name) {
    return X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
}
/// Seconds since 1970, or INT64_MIN when the time is none.
static inline int64_t COpenSSL_seconds(const ASN1_TIME *time) {
    struct tm parts;
    return ASN1_TIME_to_tm(time, &parts) == 1 ? (int64_t)timegm(&parts) : INT64_MIN;
}

/// For a web server: an address must be in the certificate as an address (RFC 9110 section 4.3.5), a name as a name, which
/// is also said to the server (RFC 6066 section 3). 1, or 0.
static inline int COpenSSL_set_web_host(SSL *ssl, const char *host) {
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1)
        return 1;
    ERR_clear_error();
    return COpenSSL_set_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

/// A server's choice of application protocol: HTTP/2 (RFC 9113 section 3.2), or a fatal alert.
static inline int COpenSSL_select_h2(SSL *ssl, const unsigned char **out, unsigned char *out_length,
                                     const unsigned char *offered, unsigned int offered_length, void *context) {
    static const unsigned char h2[] = {2, 'h', '2'};
    (void)ssl;
    (void)context;
    unsigned char *choice = NULL;
    if (SSL_select_next_proto(&choice, out_length, h2, sizeof h2, offered, offered_length) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = choice;
    return SSL_TLSEXT_ERR_OK;
}
static inline void COpenSSL_serve_h2(SSL_CTX *context) { SSL_CTX_set_alpn_select_cb(context, COpenSSL_select_h2, NULL); }

#endif
