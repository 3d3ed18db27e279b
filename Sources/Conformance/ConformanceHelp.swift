// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// The text of `elkeid-devcenter conformance --help`.
enum ConformanceHelp {
    static let text = """
        Usage: elkeid-devcenter conformance [OPTION...] ./plugin
               elkeid-devcenter conformance --list

        Runs a plugin, in whatever language and with whatever library, through the
        contract between the agent and its plugins, and reports what it found. The
        plugin is started as the agent starts it, several times, without an agent.

          --task 'TYPE DATA'  a task that the plugin answers at once by a record with
                              the task's token; may be repeated. Without any, a task of
                              an unknown type is sent, and no answer demanded.
          --only CHECK[,...]  only these checks
          --skip CHECK[,...]  not these checks
          --timeout SECONDS   for ending, and for an answer (10)
          --stall SECONDS     how long nothing is read in back-pressure (3)
          --observe SECONDS   how long it is watched doing nothing (3)
          --detail TEXT       its environment variable DETAIL
          --folder FOLDER     its working directory (where the plugin is)
          --name NAME         its name, which tasks carry (the file's)
          --json              the report as one JSON object
          --list              the checks, and what each demands

        Each check is pass, warn (legal, but better otherwise), FAIL, or skip (it could
        not be told; the report says what to do). Exit codes: 0 when nothing failed,
        1 when a check failed or could not be made, 2 for a wrong command line.

        """
}
