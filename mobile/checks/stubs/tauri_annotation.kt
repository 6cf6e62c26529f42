// A part of Tauri's plugin API, by its signatures alone.
@file:Suppress("UNUSED_PARAMETER", "unused")

package app.tauri.annotation

annotation class Command

annotation class InvokeArg

annotation class Permission(val strings: Array<String> = [], val alias: String = "")

annotation class PermissionCallback

annotation class TauriPlugin(val permissions: Array<Permission> = [])
