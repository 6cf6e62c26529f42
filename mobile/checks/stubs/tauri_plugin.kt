// A part of Tauri's plugin API, by its signatures alone.
@file:Suppress("UNUSED_PARAMETER", "unused")

package app.tauri.plugin

import android.app.Activity

class JSObject {
    fun put(key: String, value: Boolean): JSObject = this
    fun put(key: String, value: Int): JSObject = this
    fun put(key: String, value: Long): JSObject = this
    fun put(key: String, value: Double): JSObject = this
    fun put(key: String, value: Any?): JSObject = this
}

class Channel(val id: Long) {
    fun send(data: JSObject) = Unit
}

class Invoke {
    fun <T> parseArgs(type: Class<T>): T = TODO()
    fun resolve(data: JSObject?) = Unit
    fun resolve() = Unit
    fun reject(message: String?) = Unit
}

abstract class Plugin(private val activity: Activity) {
    protected fun requestPermissionForAlias(alias: String, invoke: Invoke, callbackName: String) = Unit
}
