// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Scripts that complete elkeidctl's command lines, made from the table of commands.
enum Completion {
    private static var names: String { CommandTable.all.map(\.name).joined(separator: " ") }

    static var bash: String {
        var text = """
            # bash completion for elkeidctl; source it, or put it into bash-completion's folder as "elkeidctl".
            _elkeidctl() {
                local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} command='' word is_file=''
                COMPREPLY=()
                for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
                    case $is_file$word in
                    --config) is_file=+ ;;
                    +=) ;;
                    +*) is_file='' ;;
                    -*) ;;
                    *) [[ -n $command ]] || command=$word ;;
                    esac
                done
                case $command:$previous in

            """
        for command in CommandTable.all {
            for option in command.options where !option.words.isEmpty {
                text += words("\(command.name):\(option.name)", option.words)
            }
            for option in command.options where option.value == "FILE" {
                text += "    \(command.name):\(option.name)) mapfile -t COMPREPLY < <(compgen -f -- \"$current\") ;;\n"
            }
        }
        text += "    *:--config) mapfile -t COMPREPLY < <(compgen -f -- \"$current\") ;;\n"
        for command in CommandTable.all {
            var choices = command.options.map(\.name) + ["--help"]
            if let operand = command.operand {
                choices = (command.name == "help" ? CommandTable.all.map(\.name) : operand.words) + choices
            }
            text += words("\(command.name):*", choices)
        }
        text += words("*", CommandTable.all.map(\.name) + ["--config", "--help", "--version"])
        return text + "    esac\n}\ncomplete -F _elkeidctl elkeidctl\n"
    }

    private static func words(_ pattern: String, _ words: [String]) -> String {
        "    \(pattern)) mapfile -t COMPREPLY < <(compgen -W '\(words.joined(separator: " "))' -- \"$current\") ;;\n"
    }

    static var zsh: String {
        var text = """
            #compdef elkeidctl
            # zsh completion for elkeidctl; put it into a folder of $fpath as "_elkeidctl".
            _elkeidctl() {
                local -a commands
                commands=(

            """
        for command in CommandTable.all { text += "        '\(command.name):\(quoted(command.summary))'\n" }
        text += """
                )
                _arguments -C '--config[the configuration]:file:_files' '--help[print help]' '--version[print the version]' \\
                    '1:command:->command' '*::argument:->argument'
                case $state in
                command) _describe 'command' commands ;;
                argument)
                    case $words[1] in

            """
        for command in CommandTable.all {
            var parts = command.options.map { option in
                let words = option.words.isEmpty ? "" : "(\(option.words.joined(separator: " ")))"
                let action = option.value == "FILE" ? "_files" : words
                let value = option.value.map { ":\($0.lowercased()):\(action)" } ?? ""
                return "'\(option.name)[\(quoted(option.summary))]\(value)'"
            }
            parts.append("'--help[print help]'")
            if let operand = command.operand {
                let words = command.name == "help" ? names : operand.words.joined(separator: " ")
                parts.append("'1:\(operand.name.lowercased()):(\(words))'")
            }
            text += "        \(command.name)) _arguments \(parts.joined(separator: " ")) ;;\n"
        }
        return text + "        esac ;;\n    esac\n}\n_elkeidctl \"$@\"\n"
    }

    /// Within single quotes of zsh, in a description.
    private static func quoted(_ text: String) -> String {
        var result = ""
        for character in text {
            switch character {
            case "'": result += "'\\''"
            case "[", "]", ":": result += "\\\(character)"
            default: result.append(character)
            }
        }
        return result
    }

    static var fish: String {
        var text = """
            # fish completion for elkeidctl; put it into ~/.config/fish/completions as "elkeidctl.fish".
            complete -c elkeidctl -f
            complete -c elkeidctl -l config -r -F -d 'the configuration'
            complete -c elkeidctl -l help -d 'print help'

            """
        for command in CommandTable.all {
            let summary = command.summary.split(separator: "'").joined(separator: "\\'")
            text += "complete -c elkeidctl -n __fish_use_subcommand -a \(command.name) -d '\(summary)'\n"
            let condition = "-n '__fish_seen_subcommand_from \(command.name)'"
            for option in command.options {
                let description = option.summary.split(separator: "'").joined(separator: "\\'")
                let words = option.words.isEmpty ? "" : " -a '\(option.words.joined(separator: " "))'"
                let value = option.value.map { $0 == "FILE" ? " -r -F" : " -x\(words)" } ?? ""
                text +=
                    "complete -c elkeidctl \(condition) -l \(option.name.dropFirst(2))\(value) -d '\(description)'\n"
            }
            if let operand = command.operand {
                let words = command.name == "help" ? names : operand.words.joined(separator: " ")
                text += "complete -c elkeidctl \(condition) -a '\(words)'\n"
            }
        }
        return text
    }
}
