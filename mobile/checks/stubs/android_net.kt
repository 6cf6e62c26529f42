// A part of Android's API, by its signatures alone.
@file:Suppress("UNUSED_PARAMETER", "unused")

package android.net

class Uri {
    companion object {
        @JvmStatic fun fromParts(scheme: String, part: String, fragment: String?): Uri = TODO()
    }
}
