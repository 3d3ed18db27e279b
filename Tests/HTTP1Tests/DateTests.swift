// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import HTTP1
import Testing

struct DateTests {
    /// As Python's email.utils.formatdate(seconds, usegmt=True) writes them.
    static let table: [(String, Int64)] = [
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0), ("Sat, 28 Feb 1970 23:59:59 GMT", 5_097_599),
        ("Sun, 01 Mar 1970 00:00:00 GMT", 5_097_600), ("Tue, 29 Feb 1972 12:30:45 GMT", 68_214_645),
        ("Wed, 01 Mar 1972 00:00:00 GMT", 68_256_000), ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 946_684_799), ("Sat, 01 Jan 2000 00:00:00 GMT", 946_684_800),
        ("Mon, 28 Feb 2000 23:59:59 GMT", 951_782_399), ("Tue, 29 Feb 2000 00:00:00 GMT", 951_782_400),
        ("Tue, 29 Feb 2000 23:59:59 GMT", 951_868_799), ("Wed, 01 Mar 2000 00:00:00 GMT", 951_868_800),
        ("Wed, 28 Feb 2001 01:02:03 GMT", 983_322_123), ("Thu, 01 Mar 2001 01:02:03 GMT", 983_408_523),
        ("Sun, 09 Sep 2001 01:46:40 GMT", 1_000_000_000), ("Sun, 29 Feb 2004 06:00:00 GMT", 1_078_034_400),
        ("Sun, 01 Jul 2012 00:00:00 GMT", 1_341_100_800), ("Sat, 31 Dec 2016 23:59:59 GMT", 1_483_228_799),
        ("Fri, 10 May 2019 10:10:10 GMT", 1_557_483_010), ("Sat, 29 Feb 2020 16:20:00 GMT", 1_582_993_200),
        ("Sun, 30 Apr 2023 09:08:07 GMT", 1_682_845_687), ("Thu, 29 Feb 2024 23:00:01 GMT", 1_709_247_601),
        ("Tue, 31 Dec 2024 00:00:00 GMT", 1_735_603_200), ("Sun, 15 Jun 2025 15:15:15 GMT", 1_750_000_515),
        ("Sat, 31 Oct 2026 04:05:06 GMT", 1_793_419_506), ("Sun, 29 Nov 2026 15:04:05 GMT", 1_795_964_645),
        ("Sun, 01 Aug 2027 11:00:59 GMT", 1_817_118_059), ("Tue, 29 Feb 2028 00:00:01 GMT", 1_835_395_201),
        ("Tue, 19 Jan 2038 03:14:07 GMT", 2_147_483_647), ("Tue, 19 Jan 2038 03:14:08 GMT", 2_147_483_648),
        ("Wed, 29 Feb 2096 02:02:02 GMT", 3_981_319_322), ("Thu, 31 Dec 2099 23:59:59 GMT", 4_102_444_799),
        ("Sun, 28 Feb 2100 23:59:59 GMT", 4_107_542_399), ("Mon, 01 Mar 2100 00:00:00 GMT", 4_107_542_400),
        ("Fri, 29 Feb 2104 01:01:01 GMT", 4_233_690_061), ("Sun, 07 Feb 2106 06:28:16 GMT", 4_294_967_296),
        ("Tue, 29 Feb 2400 12:00:00 GMT", 13_574_606_400), ("Wed, 01 Mar 2400 00:00:00 GMT", 13_574_649_600),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
    ]

    @Test(arguments: table.indices)
    func dates(index: Int) {
        let (text, seconds) = Self.table[index]
        #expect(HTTPDate.seconds(text) == seconds, "\(text)")
    }

    /// The first and the last second of every month of 430 years, counted by the calendar's own rule.
    @Test func everyMonth() {
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        let lengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        var days: Int64 = 0
        for year in 1970..<2400 {
            let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
            for (month, length) in zip(months, lengths) {
                let last = length + (isLeap && month == "Feb" ? 1 : 0)
                let first = HTTPDate.seconds("Mon, 01 \(month) \(year) 00:00:00 GMT")
                #expect(first == days * 86_400, "\(month) \(year)")
                days += Int64(last)
                let end = HTTPDate.seconds("Mon, \(last) \(month) \(year) 23:59:59 GMT")
                #expect(end == days * 86_400 - 1, "\(month) \(year)")
            }
        }
    }

    /// RFC 9110 section 5.6.7: a leap second may be told.
    @Test func aLeapSecond() { #expect(HTTPDate.seconds("Sat, 31 Dec 2016 23:59:60 GMT") == 1_483_228_800) }

    @Test(arguments: [
        "", " ", "GMT", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nov 1994 08:49:37 +0000",
        "Sun, 06 Nov 1994 08:49:37 gmt", "Sun, 06 Nov 1994 08:49:37 GMT x", "06 Nov 1994 08:49:37 GMT",
        // The obsolete forms, which nobody may send.
        "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
        "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 32 Nov 1994 08:49:37 GMT", "Sun, -1 Nov 1994 08:49:37 GMT",
        "Sun, x6 Nov 1994 08:49:37 GMT", "Sun, 06 nov 1994 08:49:37 GMT", "Sun, 06 November 1994 08:49:37 GMT",
        "Sun, 06 11 1994 08:49:37 GMT", "Sun, 06 Nov 1969 08:49:37 GMT", "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 06 Nov 10000 08:49:37 GMT", "Sun, 06 Nov 99999999999999999999 08:49:37 GMT", "Sun, 06 Nov x 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 1994 08:49 GMT", "Sun, 06 Nov 1994 08:49:37:00 GMT", "Sun, 06 Nov 1994 -1:49:37 GMT",
        "Sun, 06 Nov 1994 aa:49:37 GMT", "Sun, 06 Nov 1994 99999999999999999999:49:37 GMT", "\u{0}",
        "Sun, 06 Nov 1994 08:49:37 GMT\r\n",
    ])
    func otherForms(text: String) { #expect(HTTPDate.seconds(text) == nil) }
}
