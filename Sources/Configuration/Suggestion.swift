// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// The candidate that differs least from `word`, by at most two letters; nil if none is near.
///
/// A word that is changed altogether is not near, however short it is. Among equals the first one is taken.
func nearest(to word: String, among candidates: [String]) -> String? {
    let furthest = 2
    let letters = Array(word.utf8)
    var best: (distance: Int, candidate: String)?
    for candidate in candidates {
        let other = Array(candidate.utf8)
        guard abs(other.count - letters.count) <= furthest else { continue }
        let distance = editDistance(letters, other)
        guard distance <= furthest, distance < min(letters.count, other.count) else { continue }
        if let best, best.distance <= distance { continue }
        best = (distance, candidate)
    }
    return best?.candidate
}

/// Levenshtein distance: insertions, deletions and replacements from one to the other.
private func editDistance(_ first: [UInt8], _ second: [UInt8]) -> Int {
    var row = Array(0...second.count)
    for (i, letter) in first.enumerated() {
        var diagonal = row[0]
        row[0] = i + 1
        for (j, other) in second.enumerated() {
            let replaced = diagonal + (letter == other ? 0 : 1)
            diagonal = row[j + 1]
            row[j + 1] = min(replaced, diagonal + 1, row[j] + 1)
        }
    }
    return row[second.count]
}
