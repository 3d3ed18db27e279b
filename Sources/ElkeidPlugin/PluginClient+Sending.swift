// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

extension PluginClient {
    /// Sends a record whose fields the closure adds: they are encoded straight into the write buffer.
    ///
    /// The closure runs while the pipe's buffer is locked: gather what takes time before, and do not use the client
    /// inside of it (that traps).
    /// - Parameters:
    ///   - dataType: the kind of record, as agreed with the server.
    ///   - timestamp: seconds since 1970.
    ///   - priority: `high` takes the high-priority pipe if the agent offers one. There is no order between the two.
    ///   - build: adds the fields; a record without any is legal.
    /// - Returns: `.sent`; `.dropped` only under `BackPressure.dropNewest`.
    /// - Throws: `agentGone` once the agent does not read any more (also when an earlier background write found out),
    ///   `recordTooLarge`, `closed`, or `system`. After a failed write every later call fails alike.
    @discardableResult
    public func send(
        dataType: Int32,
        timestamp: Int64 = PluginClient.now,
        priority: RecordPriority = .normal,
        _ build: (inout FieldWriter) -> Void
    ) throws(PluginError) -> SendResult {
        try pipe(for: priority).send(dataType: dataType, timestamp: timestamp, priority: priority, build)
    }

    /// Sends a record with these fields. See the closure form for the parameters, the result and errors.
    @discardableResult
    public func send(
        dataType: Int32,
        timestamp: Int64 = PluginClient.now,
        priority: RecordPriority = .normal,
        fields: [String: String]
    ) throws(PluginError) -> SendResult {
        try send(dataType: dataType, timestamp: timestamp, priority: priority) { (record) in
            for (key, value) in fields { record.add(key, value) }
        }
    }

    /// Sends a record with these fields, in this order. See the closure form for the parameters, the result and
    /// errors.
    @discardableResult
    public func send(
        dataType: Int32,
        timestamp: Int64 = PluginClient.now,
        priority: RecordPriority = .normal,
        fields: some Sequence<(String, String)>
    ) throws(PluginError) -> SendResult {
        try send(dataType: dataType, timestamp: timestamp, priority: priority) { (record) in
            for (key, value) in fields { record.add(key, value) }
        }
    }

    // MARK: Several records

    /// Sends a record for each element, all under one lock: no record of another thread comes in between.
    ///
    /// The first record that fails ends the call: those before it are sent, it and those behind it are not.
    /// - Parameters:
    ///   - elements: what `build` makes records of. Going through them must not use the client.
    ///   - dataType, timestamp, priority: of all the records.
    ///   - build: adds the fields of one record.
    /// - Returns: how many were sent and dropped; throws as `send` does.
    @discardableResult
    public func send<Elements: Sequence>(
        each elements: Elements,
        dataType: Int32,
        timestamp: Int64 = PluginClient.now,
        priority: RecordPriority = .normal,
        _ build: (Elements.Element, inout FieldWriter) -> Void
    ) throws(PluginError) -> SendCounts {
        let pipe = pipe(for: priority)
        return try pipe.send(each: elements) { (state, element) throws(PluginError) in
            try pipe.send(&state, dataType: dataType, timestamp: timestamp, priority: priority) { (writer) in
                build(element, &writer)
            }
        }
    }

    /// Sends all these records under one lock. See the closure form for what a failure leaves behind.
    @discardableResult
    public func send(
        records: some Sequence<PluginRecord>,
        priority: RecordPriority = .normal
    ) throws(PluginError) -> SendCounts {
        let pipe = pipe(for: priority)
        return try pipe.send(each: records) { (state, record) throws(PluginError) in
            try pipe.send(
                &state,
                dataType: record.dataType,
                timestamp: record.timestamp,
                priority: priority
            ) { (writer) in
                for (key, value) in record.fields { writer.add(key, value) }
            }
        }
    }

    // MARK: Encoded records

    /// Sends a record that is an encoded Record message already, unchanged and unchecked; the length goes before it.
    /// The result and errors are those of `send`.
    @discardableResult
    public func send(
        encoded record: Span<UInt8>,
        priority: RecordPriority = .normal
    ) throws(PluginError) -> SendResult {
        try unsafe pipe(for: priority).sendEncoded(record.bytes, priority: priority)
    }

    /// Sends a record that is an encoded Record message already. See the other form.
    @discardableResult
    public func send(
        encoded record: [UInt8],
        priority: RecordPriority = .normal
    ) throws(PluginError) -> SendResult {
        try send(encoded: record.span, priority: priority)
    }
}
