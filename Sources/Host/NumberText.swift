// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Numbers as the heartbeat has them.
enum NumberText {
    /// With 8 decimals, correctly rounded, never an exponent; what is not finite is 0. Beyond 10^18 it is cut there.
    static func decimal(_ value: Double) -> String {
        guard value.isFinite else { return "0.00000000" }
        let scaled = scaledByDecimals(min(value.magnitude, 1e18))
        let (whole, fraction) = scaled.quotientAndRemainder(dividingBy: 100_000_000)
        let digits = String(fraction)
        let sign = value < 0 && scaled > 0 ? "-" : ""
        return "\(sign)\(whole).\(String(repeating: "0", count: 8 - digits.utf8.count))\(digits)"
    }

    /// `value` · 10^8 as an integer, half to even, exactly: the significand times 10^8 fits in 80 bits.
    private static func scaledByDecimals(_ value: Double) -> UInt128 {
        guard value >= 1e-9 else { return 0 }
        let product = UInt128(value.significandBitPattern | 1 << 52) * 100_000_000
        let exponent = Int(value.exponentBitPattern) - 1075
        if exponent >= 0 { return product << exponent }
        let shift = -exponent
        let quotient = product >> shift
        let remainder = product - quotient << shift
        let half: UInt128 = 1 << (shift - 1)
        return remainder > half || (remainder == half && quotient & 1 == 1) ? quotient + 1 : quotient
    }
}

/// How the server reads the values of a heartbeat: what parses as a finite float (Go's strconv.ParseFloat) becomes a
/// number. A number where the server or the manager wants a string makes the host vanish from its lists.
public enum ServerTyping {
    /// Would the server make a number of this text?
    public static func isNumber(_ text: String) -> Bool {
        var rest = Array(text.utf8)[...]
        if rest.first == 0x2b || rest.first == 0x2d { rest = rest.dropFirst() }
        let isHexadecimal = rest.starts(with: "0x".utf8) || rest.starts(with: "0X".utf8)
        if isHexadecimal { rest = rest.dropFirst(2) }
        var digitSeen = false
        var pointSeen = false
        // An underscore is legal between digits, and between the prefix 0x and a digit.
        var canSeparate = isHexadecimal
        while let byte = rest.first {
            if isDigit(byte, hexadecimal: isHexadecimal) {
                digitSeen = true
                canSeparate = true
            } else if byte == 0x2e, !pointSeen {
                pointSeen = true
                canSeparate = false
            } else if byte == 0x5f, canSeparate {
                guard let next = rest.dropFirst().first, isDigit(next, hexadecimal: isHexadecimal) else { return false }
            } else {
                break
            }
            rest = rest.dropFirst()
        }
        guard digitSeen else { return false }
        if let mark = rest.first {
            guard mark | 0x20 == (isHexadecimal ? 0x70 : 0x65), isExponent(rest.dropFirst()) else { return false }
        } else if isHexadecimal {
            return false
        }
        // Too large is an error to the server, and the text stays one.
        return Double(text.filter { $0 != "_" })?.isFinite ?? true
    }

    /// `value`, or where the server would make a number of it: the field's name, a dash and the value ("idc-1001").
    public static func string(_ value: String, field: String) -> String {
        isNumber(value) ? "\(field)-\(value)" : value
    }

    private static func isExponent(_ text: ArraySlice<UInt8>) -> Bool {
        var digits = text
        if digits.first == 0x2b || digits.first == 0x2d { digits = digits.dropFirst() }
        guard let first = digits.first, let last = digits.last else { return false }
        return first != 0x5f && last != 0x5f && !zip(digits, digits.dropFirst()).contains { $0 == 0x5f && $1 == 0x5f }
            && digits.allSatisfy { $0 == 0x5f || isDigit($0, hexadecimal: false) }
    }

    private static func isDigit(_ byte: UInt8, hexadecimal: Bool) -> Bool {
        (0x30...0x39).contains(byte) || (hexadecimal && (0x61...0x66).contains(byte | 0x20))
    }
}
