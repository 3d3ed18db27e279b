// placeholder
extension Tool {
    func doctor(_ invocation: Invocation) throws(ToolError) -> Int32 { 0 }
    func bundle(_ invocation: Invocation) throws(ToolError) -> Int32 { 0 }
}
