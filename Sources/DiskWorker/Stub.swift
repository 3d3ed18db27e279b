import Glibc
public import Logging
public import Reactor
public enum DiskError: Error { case x }
public struct DirectorySize: Sendable { public var bytes: UInt64 }
public final class DiskWorker {
    public static let argument = "--disk-worker"
    public static func serve() -> Never { exit(0) }
    public init(reactor: Reactor, children: ChildWatcher, log: Logger) {}
    public func writeFile(_ p: String, _ b: [UInt8], mode: UInt32, _ c: @escaping (Result<Void, DiskError>) -> Void) {}
    public func directorySize(_ p: String, excluding: [String], _ c: @escaping (Result<DirectorySize, DiskError>) -> Void) {}
    public func rotate(_ p: String, _ c: @escaping (Result<String, DiskError>) -> Void) {}
    public func compress(_ p: String, _ c: @escaping (Result<Void, DiskError>) -> Void) {}
    public func prune(_ p: String, stem: String, keep: Int, maxAge: TimeSpan, _ c: @escaping (Result<Void, DiskError>) -> Void) {}
}
