// A part of Android's API, by its signatures alone.
@file:Suppress("UNUSED_PARAMETER", "unused")

package android.content.pm

import android.content.Intent

abstract class PackageManager {
    abstract fun getLaunchIntentForPackage(name: String): Intent?

    companion object {
        const val PERMISSION_GRANTED = 0
    }
}

object ServiceInfo {
    const val FOREGROUND_SERVICE_TYPE_MICROPHONE = 128
}
