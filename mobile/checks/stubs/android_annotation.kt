// A part of Android's API, by its signatures alone.
@file:Suppress("UNUSED_PARAMETER", "unused")

package android.annotation

annotation class SuppressLint(vararg val value: String)
