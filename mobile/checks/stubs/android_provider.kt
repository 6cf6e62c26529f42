// A part of Android's API, by its signatures alone.
@file:Suppress("UNUSED_PARAMETER", "unused")

package android.provider

object Settings {
    const val ACTION_APPLICATION_DETAILS_SETTINGS = "android.settings.APPLICATION_DETAILS_SETTINGS"
}
