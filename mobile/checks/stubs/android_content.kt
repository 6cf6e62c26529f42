// A part of Android's API, by its signatures alone.
@file:Suppress("UNUSED_PARAMETER", "unused")

package android.content

import android.content.pm.PackageManager
import android.net.Uri

abstract class Context {
    val packageManager: PackageManager = TODO()
    val packageName: String = TODO()

    fun getSystemService(name: String): Any? = TODO()
    fun <T> getSystemService(type: Class<T>): T = TODO()
    fun startActivity(intent: Intent) = Unit
    fun stopService(intent: Intent): Boolean = TODO()

    companion object {
        const val LOCATION_SERVICE = "location"
        const val AUDIO_SERVICE = "audio"
    }
}

class Intent {
    constructor(action: String, data: Uri?)
    constructor(context: Context, type: Class<*>)

    fun putExtra(name: String, value: String?): Intent = TODO()
    fun getStringExtra(name: String): String? = TODO()
}
