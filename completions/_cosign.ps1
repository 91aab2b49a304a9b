# Completion of cosign in PowerShell 7.3 or later. Names of keys and devices come from the program itself.
Register-ArgumentCompleter -Native -CommandName cosign -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $elements = @($commandAst.CommandElements | Where-Object { $_.Extent.EndOffset -lt $cursorPosition })
    $words = @($elements | ForEach-Object {
        if ($_ -is [System.Management.Automation.Language.StringConstantExpressionAst]) { $_.Value }
        else { $_.Extent.Text }
    })
    $words += $wordToComplete.Trim("'", '"')
    & $words[0] complete powershell -- @words 2>$null | ForEach-Object {
        $text, $note = $_ -split "`t", 2
        if (-not $note) { $note = $text }
        [System.Management.Automation.CompletionResult]::new($text, $text, 'ParameterValue', $note)
    }
}
