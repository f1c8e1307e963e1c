@echo off
rem Windows: the same as the file terrarium-x86_64 beside this one.
setlocal
set "root=%~dp0..\.."
set "node=%root%\node_modules\node\bin\node.exe"
if not exist "%node%" node "%root%\build\setup.mjs" --emulator 1>&2 || exit /b 1
if not exist "%root%\dist\terrarium-x86_64.mjs" "%node%" "%root%\build\setup.mjs" --emulator 1>&2 || exit /b 1
"%node%" --experimental-wasm-branch-hinting --disable-warning=ExperimentalWarning "%root%\dist\terrarium-x86_64.mjs" %*
